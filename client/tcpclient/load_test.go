// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		handle func(*net.TCPConn)
		args   string
		ok     int
		bytes  int64
		verify int
	}{
		{"one", serveEcho, "-messages 1", 1, 64, 1},
		{"many", serveEcho, "-connections 50 -parallel 7 -messages 3 -size 100", 50, 15000, 150},
		{"upper", serveUpper, "-service upper -connections 5 -messages 3", 5, 960, 15},
		{"a byte each", serveEcho, "-size 1 -messages 20 -connections 2 -parallel 2", 2, 40, 40},
		{"large", serveEcho, "-size 1048577 -messages 2 -connections 4 -parallel 2", 4, 8 * 1048577, 8},
		{"one shot", oneShot, "-one-shot -connections 20 -parallel 4", 20, 1280, 20},
		{"silent", serveEcho, "-messages 0 -connections 3", 3, 0, 0},
		{"more places than connections", serveEcho, "-parallel 50 -connections 2", 2, 128, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, test.handle)
			report, r := runReport(t, append(strings.Fields(test.args), "-seed", "42", address)...)
			assert.Equal(t, ExitOK, r.status, r.err)
			assert.Empty(t, r.err)
			assert.Equal(t, test.ok, report.OK)
			assert.Equal(t, test.ok, report.Connections)
			assert.Equal(t, test.verify, report.Messages)
			assert.Equal(t, test.bytes, report.BytesSent)
			assert.Equal(t, test.bytes, report.BytesReceived)
			assert.EqualValues(t, 42, report.Seed)
			assert.Equal(t, address, report.Address)
			assert.NotNil(t, report.Errors)
			assert.Positive(t, report.Duration)
		})
	}
}

// Each server is wrong in one way, and each way has its name.
func TestLoadFindsFaults(t *testing.T) {
	t.Parallel()
	// stale is a server with one buffer for all: it answers every message but the first
	// with the message before.
	stale := func() func(*net.TCPConn) {
		var before atomic.Pointer[[]byte]
		return func(conn *net.TCPConn) {
			for {
				now := message(conn, 64)
				if now == nil {
					return
				}
				if old := before.Swap(&now); old != nil {
					now = *old
				}
				conn.Write(now)
			}
		}
	}
	for _, test := range []struct {
		name    string
		handle  func(*net.TCPConn)
		args    string
		outcome func(Report) int
		cause   string
		want    string // a regular expression for the error
	}{
		{"wrong byte", transform(func(b []byte) []byte { b[17] ^= 1; return b }), "",
			func(r Report) int { return r.Mismatched }, "mismatched 1",
			`message 0: wrong byte at offset 17: expected ".{16}", got ".{16}"$`},
		{"wrong byte far into a large message", func(conn *net.TCPConn) {
			b := message(conn, 1<<20)
			b[999_999] ^= 1
			conn.Write(b)
			readEnd(conn)
		}, "-size 1048576", func(r Report) int { return r.Mismatched }, "mismatched 1",
			`message 0: wrong byte at offset 999999: expected `},
		{"echo for upper", serveEcho, "-service upper",
			func(r Report) int { return r.Mismatched }, "mismatched 1", `message 0: wrong byte at offset \d+: `},
		{"lost last byte", func(conn *net.TCPConn) {
			conn.Write(message(conn, 64)[:63])
		}, "", func(r Report) int { return r.ClosedEarly }, "closed early 1",
			`message 0: await the reply, 63 of 64 bytes so far: closed early by the server$`},
		{"lost last byte, open", func(conn *net.TCPConn) {
			conn.Write(message(conn, 64)[:63])
			readEnd(conn)
			neverReader{conn}.Read(nil)
		}, "-timeout " + impatience, func(r Report) int { return r.TimedOut }, "timed out 1",
			`message 0: await the reply, 63 of 64 bytes so far: timed out after 200ms$`},
		{"surplus byte", func(conn *net.TCPConn) {
			conn.Write(append(message(conn, 64), 'X'))
			readEnd(conn)
		}, "", func(r Report) int { return r.Mismatched }, "mismatched 1",
			`surplus bytes after the last reply: expected the end of the stream, got "X"$`},
		{"surplus byte before the end of a one-shot", func(conn *net.TCPConn) {
			conn.Write(append(message(conn, 64), 'X'))
		}, "-one-shot", func(r Report) int { return r.Mismatched }, "mismatched 1",
			`surplus bytes after the last reply: expected the end of the stream, got "X"$`},
		{"stale bytes", stale(), "-messages 3", func(r Report) int { return r.Mismatched }, "mismatched 1",
			`message 1: wrong byte at offset \d+: .*, bytes of connection 0, message 0$`},
		{"bytes of another connection", stale(), "-connections 2", func(r Report) int { return r.Mismatched }, "mismatched 1",
			`^connection 1 .*message 0: wrong byte at offset \d+: .*, bytes of connection 0, message 0$`},
		{"closes early", func(conn *net.TCPConn) { message(conn, 64) }, "",
			func(r Report) int { return r.ClosedEarly }, "closed early 1",
			`message 0: await the reply, 0 of 64 bytes so far: closed early by the server$`},
		{"resets", func(conn *net.TCPConn) { message(conn, 64); reset(conn) }, "",
			func(r Report) int { return r.Reset }, "reset 1",
			`message 0: await the reply, 0 of 64 bytes so far: connection reset by peer$`},
		{"resets in a large message", func(conn *net.TCPConn) { message(conn, 64<<10); reset(conn) }, "-size 10000000",
			func(r Report) int { return r.Reset }, "reset 1", `message 0: .*(connection reset by peer|broken pipe)$`},
		{"resets after the reply", func(conn *net.TCPConn) {
			conn.Write(message(conn, 64))
			readEnd(conn)
			reset(conn)
		}, "", func(r Report) int { return r.Reset }, "reset 1",
			`await the end of the stream: connection reset by peer$`},
		{"never replies", func(conn *net.TCPConn) { readEnd(conn) }, "-timeout " + impatience,
			func(r Report) int { return r.TimedOut }, "timed out 1",
			`message 0: await the reply, 0 of 64 bytes so far: timed out after 200ms$`},
		{"never reads", func(conn *net.TCPConn) { neverReader{conn}.Read(nil) }, "-size 64000000 -timeout " + impatience,
			func(r Report) int { return r.TimedOut }, "timed out 1",
			`message 0: await the reply, 0 of 64000000 bytes so far: timed out after 200ms$`},
		{"never closes", func(conn *net.TCPConn) {
			conn.Write(message(conn, 64))
			readEnd(conn)
			neverReader{conn}.Read(nil)
		}, "-timeout " + impatience, func(r Report) int { return r.TimedOut }, "timed out 1",
			`await the end of the stream: timed out after 200ms$`},
		{"a one-shot that does not close", func(conn *net.TCPConn) {
			conn.Write(message(conn, 64))
			readEnd(conn)
		}, "-one-shot -timeout " + impatience, func(r Report) int { return r.TimedOut }, "timed out 1",
			`await the end of the stream: timed out after 200ms$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, test.handle)
			report, r := runReport(t, append(strings.Fields(test.args), "-seed", "5", address)...)
			assert.Equal(t, ExitFailed, r.status)
			assert.Equal(t, 1, test.outcome(report), "%+v", report)
			assert.Equal(t, 1, report.Failed())
			require.Len(t, report.Errors, 1)
			assert.Regexp(t, test.want, report.Errors[0])
			assert.Regexp(t, `^connection \d+ \(127\.0\.0\.1:\d+ to `+address+`\): `, report.Errors[0])
			assert.Equal(t, fmt.Sprintf("%s: 1 of %d connections to %s failed (%s); first: %s\n",
				programName, report.Connections, address, test.cause, report.Errors[0]), r.err)
		})
	}
}

func TestLoadRefused(t *testing.T) {
	t.Parallel()
	address := refusing(t)
	report, r := runReport(t, "-connections", "20", address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, 20, report.Refused)
	require.Len(t, report.Errors, maxErrors)
	assert.Equal(t, "connection 0: connect to "+address+": connection refused", report.Errors[0])
	assertOneLine(t, r.err)
}

// One connection waits in the queue for ever and the others are not answered at all.
func TestLoadConnectTimesOut(t *testing.T) {
	t.Parallel()
	address := overloaded(t)
	report, r := runReport(t, "-connections", "4", "-parallel", "4", "-timeout", impatience, address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, 4, report.TimedOut)
	assert.Contains(t, strings.Join(report.Errors, "\n"), ": connect to "+address+": timed out after "+impatience)
	assert.Contains(t, strings.Join(report.Errors, "\n"), "await the reply, 0 of 64 bytes so far: timed out after "+impatience)
}

func TestLoadNoLocalAddress(t *testing.T) {
	t.Parallel()
	report, r := runReport(t, "-from", "192.0.2.1", serve(t, serveEcho))
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, 1, report.Other)
	assert.Contains(t, report.Errors[0], "bind: cannot assign requested address")
}

func TestLoadFrom(t *testing.T) {
	t.Parallel()
	from := make(chan string, 1)
	_, r := runReport(t, "-from", "127.0.0.3", serveOn(t, "127.0.0.1:0", func(conn *net.TCPConn) {
		from <- conn.RemoteAddr().(*net.TCPAddr).IP.String()
		serveEcho(conn)
	}))
	if strings.Contains(r.err, "cannot assign") {
		t.Skip("this system has no 127.0.0.3")
	}
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.Equal(t, "127.0.0.3", await(t, from))
}

// That many connections as -parallel are open at the same time, and no more.
func TestLoadParallel(t *testing.T) {
	t.Parallel()
	const parallel = 6
	var open, most atomic.Int64
	full := make(chan struct{})
	fill := sync.OnceFunc(func() { close(full) })
	address := serve(t, func(conn *net.TCPConn) {
		now := open.Add(1)
		for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
		}
		if now == parallel {
			fill()
		}
		// Every connection waits until all places have been taken once.
		select {
		case <-full:
		case <-time.After(patience):
		}
		reply := message(conn, 64)
		// The client opens the next connection when it has seen the end of this one.
		open.Add(-1)
		conn.Write(reply)
	})
	_, r := runReport(t, "-connections", "30", "-parallel", strconv.Itoa(parallel), "-one-shot", address)
	assert.Equal(t, ExitOK, r.status, r.err)
	assert.EqualValues(t, parallel, most.Load())
}

func TestLoadText(t *testing.T) {
	t.Parallel()
	address := serve(t, serveEcho)
	r := runClient(t, nil, "-connections", "3", "-seed", "9", address)
	assert.Equal(t, ExitOK, r.status)
	assert.Empty(t, r.err)
	assert.Regexp(t, `^3 connections to `+address+` in \d+\.\d{3} s, \d+/s, seed 9
  ok          3
  messages    3 verified
  bytes       192 sent, 192 received, \d+/s
$`, r.out)

	address = refusing(t)
	r = runClient(t, nil, "-connections", "1", address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Contains(t, r.out, "  failed      1 (refused 1)\n")
	assert.Contains(t, r.out, "  error: connection 0: connect to "+address+": connection refused\n")
	assertOneLine(t, r.err)
}

// What the server sees of each way to leave.
func TestLeaveAsTheServerSeesIt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string
		want error
	}{
		{"-leave half-close", errEOF},
		{"-leave close", errEOF},
		{"-leave reset", syscall.ECONNRESET},
		{"-leave close -leave-unread", syscall.ECONNRESET},
		{"-leave reset -leave-unread", syscall.ECONNRESET},
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
		assert.Regexp(t, "message 0: await the reply, 0 of 1 bytes so far: "+test.want, report.Errors[0])
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 4)
	p := start(t, "-json", "-hold", "-connections", "4", serve(t, echoEnds(ends)))
	assert.Equal(t, Gathered{Event: "holding", Connections: 4}, p.holding())
	assert.Empty(t, ends, "all are open")
	require.NoError(t, p.in.Close())
	assert.Equal(t, 4, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
	for range 4 {
		assert.Equal(t, errEOF, await(t, ends))
	}
}

// With a reply left unread, the close after the holding is a reset.
func TestHoldUnread(t *testing.T) {
	t.Parallel()
	ends := make(chan error, 2)
	p := start(t, "-json", "-hold", "-leave", "close", "-leave-unread", "-connections", "2", serve(t, echoEnds(ends)))
	assert.Equal(t, 2, p.holding().Connections)
	assert.Empty(t, ends)
	require.NoError(t, p.in.Close())
	assert.Equal(t, 2, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
	for range 2 {
		assert.Equal(t, syscall.ECONNRESET, await(t, ends))
	}
}

func TestHoldAnnouncesFailures(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-hold", "-connections", "3", refusing(t))
	assert.Equal(t, Gathered{Event: "holding", Failed: 3}, p.holding())
	assert.Equal(t, 3, p.report().Refused)
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
}

// What the server does to held connections is in the report. The holding ends when none is
// held any more.
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
		end := make(chan bool)
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
		assert.Equal(t, 3, p.holding().Connections)
		close(end)
		report := p.report()
		assert.Equal(t, 3, test.outcome(report))
		require.Len(t, report.Errors, 3)
		assert.Contains(t, report.Errors[0], test.want)
		assert.Equal(t, ExitFailed, p.wait().ExitCode())
	}
}

// One connection that has read the end of a one-shot stays in CLOSE-WAIT while it is held.
func TestHoldAfterOneShot(t *testing.T) {
	t.Parallel()
	p := start(t, "-json", "-hold", "-one-shot", "-connections", "2", serve(t, oneShot))
	assert.Equal(t, 2, p.holding().Connections)
	require.NoError(t, p.in.Close())
	assert.Equal(t, 2, p.report().OK)
	assert.Equal(t, ExitOK, p.wait().ExitCode())
}

func TestWorse(t *testing.T) {
	t.Parallel()
	assert.NoError(t, worse(nil, nil))
	assert.Equal(t, errClosedEarly, worse(errClosedEarly, nil))
	assert.Equal(t, errClosedEarly, worse(nil, errClosedEarly))
	assert.Equal(t, errClosedEarly, worse(timeoutError{}, errClosedEarly))
	wrong := &mismatchError{}
	assert.Equal(t, error(wrong), worse(wrong, errClosedEarly))
	assert.True(t, bytes.Contains([]byte(timeoutError{}.Error()), []byte("kernel")))
}
