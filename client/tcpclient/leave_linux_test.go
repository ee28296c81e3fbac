package tcpclient

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the server sees of each way to leave.
func TestLeaveAsTheServerSeesIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		want error
	}{
		{"-leave half-close", errEOF},
		{"-leave half-close -leave-early", errEOF},
		{"-leave close", errEOF},
		{"-leave reset", syscall.ECONNRESET},
		{"-leave stall -stall-for 1ms", errEOF},
		{"-leave close -leave-unread", syscall.ECONNRESET},
		{"-leave reset -leave-unread", syscall.ECONNRESET},
		{"-leave reset -leave-early", syscall.ECONNRESET},
		{"-leave stall -stall-for 1ms -leave-unread", syscall.ECONNRESET},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			ends := make(chan error, 3)
			args := append(strings.Fields(test.args), "-connections", "3", serve(t, echoEnds(ends)))
			report, r := runReport(t, args...)
			assert.Equal(t, ExitOK, r.status, r.err)
			assert.Equal(t, 3, report.OK)
			for range 3 {
				assert.Equal(t, test.want, await(t, ends))
			}
		})
	}
}

// A client that leaves early with a close: the server's reply finds nobody.
func TestLeaveEarlyClose(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 1)
	address := serve(t, func(conn *net.TCPConn) {
		message(conn, 64)
		if err := readEnd(conn); err != errEOF {
			ends <- err
			return
		}
		conn.Write([]byte("late"))
		// The answer to it is a reset, which on Linux is EPIPE after the end of the stream.
		_, err := conn.Write([]byte("later"))
		for err == nil {
			_, err = conn.Write([]byte("later"))
		}
		ends <- err
	})
	report, r := runReport(t, "-leave", "close", "-leave-early", address)
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.Equal(t, 0, report.Messages)
	end := await(t, ends)
	assert.True(t, isReset(end), "%v", end)
}

func TestLeaveUnreadReportsWhatItAwaits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		handle func(*net.TCPConn)
		want   string
	}{
		{func(conn *net.TCPConn) { message(conn, 64) }, "closed early by the server"},
		{func(conn *net.TCPConn) { message(conn, 64); reset(conn) }, "connection reset by peer"},
		{func(conn *net.TCPConn) { readEnd(conn) }, "timed out after 200ms"},
	} {
		report, r := runReport(t, "-leave", "close", "-leave-unread", "-timeout", impatience, serve(t, test.handle))
		assert.Equal(t, ExitFailed, r.status)
		require.Len(t, report.Errors, 1)
		assert.Regexp(t, "message 0: await the reply, to leave it unread: .*"+test.want, report.Errors[0])
	}
}

func TestLeaveKill(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want error
	}{
		{nil, errEOF},
		{[]string{"-leave-unread"}, syscall.ECONNRESET},
		{[]string{"-hold"}, errEOF},
	} {
		ends := make(chan error, 5)
		p := start(t, append(test.args, "-json", "-leave", "kill", "-connections", "5", serve(t, echoEnds(ends)))...)
		if len(test.args) > 0 && test.args[0] == "-hold" {
			assert.Equal(t, 5, p.gathered("holding").Connections)
			require.NoError(t, p.in.Close())
		}
		assert.Equal(t, 5, p.report().OK)
		status := p.wait().Sys().(syscall.WaitStatus)
		assert.True(t, status.Signaled() && status.Signal() == syscall.SIGKILL, "%v", status)
		for range 5 {
			assert.Equal(t, test.want, await(t, ends))
		}
	}
}

// With nothing to leave open, the process ends by an exit status.
func TestLeaveKillWithoutConnections(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-leave", "kill", "-connections", "2", refusing(t))
	assert.Equal(t, 2, p.report().Refused)
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
}

func TestHold(t *testing.T) {
	t.Parallel()
	for name, release := range map[string]func(*program){
		"signal":       func(p *program) { require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1)) },
		"end of input": func(p *program) { require.NoError(t, p.in.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := make(chan error, 4)
			p := start(t, "-json", "-hold", "-connections", "4", serve(t, echoEnds(ends)))
			assert.Equal(t, Gathered{Event: "holding", Connections: 4, PIDs: []int{p.cmd.Process.Pid}}, p.gathered("holding"))
			assert.Empty(t, ends, "all are open")
			release(p)
			assert.Equal(t, 4, p.report().OK)
			assert.Equal(t, ExitOK, p.wait().ExitCode())
			for range 4 {
				assert.Equal(t, errEOF, await(t, ends))
			}
		})
	}
}

// A null device as standard input, as a program that is started without one gets it, does
// not end the holding.
func TestHoldIgnoresNullInput(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	assert.False(t, canEnd(null))
	file, err := os.Open("doc.go")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, canEnd(file))
	pipe, feed, err := os.Pipe()
	require.NoError(t, err)
	defer feed.Close()
	assert.True(t, canEnd(pipe))
	pipe.Close()
	assert.False(t, canEnd(pipe))
}

func TestHoldAnnouncesFailures(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-hold", "-connections", "3", refusing(t))
	assert.Equal(t, Gathered{Event: "holding", Failed: 3, PIDs: []int{p.cmd.Process.Pid}}, p.gathered("holding"))
	assert.Equal(t, 3, p.report().Refused)
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
}

// What the server does to a held connection is told at once, and does not end the holding
// of the others.
func TestHoldLosesConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		end     func(*net.TCPConn)
		want    string
		outcome func(Report) int
	}{
		{reset, "hold: connection reset by peer", func(r Report) int { return r.Reset }},
		{func(*net.TCPConn) {}, "hold: closed early by the server", func(r Report) int { return r.ClosedEarly }},
		{func(conn *net.TCPConn) { io.WriteString(conn, "psst"); readEnd(conn) }, `hold: surplus bytes after the last reply: expected the end of the stream, got "psst"`,
			func(r Report) int { return r.Mismatched }},
	} {
		end := make(chan bool, 1)
		address := serve(t, func(conn *net.TCPConn) {
			conn.Write(message(conn, 64))
			ended := make(chan error, 1)
			go func() { ended <- readEnd(conn) }()
			select {
			case <-end:
				test.end(conn)
			case <-ended:
			}
		})
		p := start(t, "-json", "-hold", "-connections", "3", address)
		assert.Equal(t, 3, p.gathered("holding").Connections)
		end <- true
		var lost Lost
		require.NoError(t, json.Unmarshal([]byte(p.line()), &lost))
		assert.Equal(t, "lost", lost.Event)
		assert.Contains(t, lost.Error, test.want)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1))
		report := p.report()
		assert.Equal(t, 1, test.outcome(report))
		assert.Equal(t, 2, report.OK)
		assert.Equal(t, []string{lost.Error}, report.Errors)
		assert.Equal(t, ExitFailed, p.wait().ExitCode())
	}
}

// Hold, then stall: a release for each. The reply that is left unread turns the close into
// a reset.
func TestHoldThenStall(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 2)
	p := start(t, "-json", "-hold", "-leave", "stall", "-leave-unread", "-connections", "2", serve(t, echoEnds(ends)))
	for _, event := range []string{"holding", "stalling"} {
		assert.Equal(t, 2, p.gathered(event).Connections)
		assert.Empty(t, ends)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	}
	assert.Equal(t, 2, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
	for range 2 {
		assert.Equal(t, syscall.ECONNRESET, await(t, ends))
	}
}

// More connections than places stall one after the other, and nothing is announced.
func TestStallInTurn(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 5)
	report, r := runReport(t, "-leave", "stall", "-stall-for", "1ms", "-connections", "5", "-parallel", "2", serve(t, echoEnds(ends)))
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.Equal(t, 5, report.OK)
	assert.Equal(t, 1, strings.Count(r.out, "\n"))
	for range 5 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

// One connection that has read the end of a one-shot stays in CLOSE-WAIT while it is held.
func TestHoldAfterOneShot(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-hold", "-one-shot", "-connections", "2", serve(t, oneShot))
	assert.Equal(t, 2, p.gathered("holding").Connections)
	require.NoError(t, p.in.Close())
	assert.Equal(t, 2, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
}

func TestHoldEarlyThenHalfClose(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-hold", "-leave-early", "-connections", "2", serve(t, serveEcho))
	assert.Equal(t, 2, p.gathered("holding").Connections)
	require.NoError(t, p.in.Close())
	report := p.report()
	assert.Equal(t, 2, report.OK)
	assert.Equal(t, 2, report.Messages)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
}

// Ctrl-C is not caught: the process dies of it.
func TestInterruptKills(t *testing.T) {
	t.Parallel()
	p := start(t, "-count", "0", "-interval", "1h", serve(t, serveEcho))
	assert.Equal(t, "data : 0", p.line())
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	status := p.wait().Sys().(syscall.WaitStatus)
	assert.True(t, status.Signaled() && status.Signal() == syscall.SIGINT, "%v", status)
}
