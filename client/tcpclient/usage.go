package tcpclient

// usage is what -h prints; its one verb is the program's name.
const usage = `usage: %s [flags] ADDR

ADDR is HOST:PORT, with an IPv6 address in brackets. Flags stand before or after it.

Interactive, without further flags: every line of standard input is sent, and what the
server sends is printed as it comes. The end of input half-closes the connection and
waits for the server's end of stream.

Counting:
  -count N           send "data : 0" to "data : N-1"; 0 counts without end
  -interval D        one message every D (default 1s); 0 does not wait

A load, chosen by any of these flags:
  -connections N     how many connections in total (default: -parallel times -processes)
  -parallel P        how many of them at the same time in each process (default 1; all,
                     where they have to stand at the same time: -hold, -leave kill,
                     -leave stall without -stall-for)
  -processes K       start K processes of this program and divide the connections evenly
                     among them (default 0: all in this one)
  -messages M        messages on each connection, each sent when the reply to the one
                     before is complete (default 1; 0 connects and leaves)
  -size BYTES        bytes of a message (default 64)
  -service NAME      the reply to expect: echo (default) or upper
  -one-shot          the server answers one read and closes first: expect exactly the
                     reply and the end of the stream
  -seed N            seed of the messages' bytes (default: random, shown in the report)
  -json              report in lines of JSON

How each connection of a load ends:
  -leave half-close  shut down the sending side, read to the end of the stream, close
                     (default)
  -leave close       close at once
  -leave reset       close at once with a reset
  -leave stall       keep the connection open and silent, then close
  -leave kill        when all connections have come to their end, report, and SIGKILL the
                     process with the connections open
  -stall-for D       how long -leave stall lasts (default 0: until SIGUSR1 or a kill)
  -leave-early       begin to leave when the last message is sent, before its reply is
                     read; with half-close the reply is verified after the half-close
  -leave-unread      begin to leave when the last reply has begun to arrive, and leave it
                     unread; not with half-close
  -hold              when all connections have come to their end, announce
                     {"event":"holding",...} on standard output and keep them open; begin
                     to leave at SIGUSR1, or at the end of standard input where that is a
                     pipe, a socket or a terminal

In every mode:
  -timeout D         limit for connecting, for each message until its reply is complete,
                     and for the server's end of stream (default 10s; 0 is no limit)
  -from IP[:PORT]    local address
  -h                 this text

Exit status: 0 all went as asked; 1 something failed or a byte was wrong; 2 wrong command
line; 3 interactive and counting: the server closed the connection first.
`
