package tcpclient

import (
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// awaitUnread waits, as long as the connection's read deadline allows, until there is
// something to read, and does not read it. It returns io.EOF at the end of the stream.
func awaitUnread(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peekErr error
	err = raw.Read(func(fd uintptr) bool {
		var peeked [1]byte
		for {
			n, _, peekErr = unix.Recvfrom(int(fd), peeked[:], unix.MSG_PEEK)
			if peekErr != unix.EINTR {
				return peekErr != unix.EAGAIN
			}
		}
	})
	switch {
	case err != nil:
		return err
	case peekErr != nil:
		return os.NewSyscallError("recvfrom", peekErr)
	case n == 0:
		return io.EOF
	}
	return nil
}
