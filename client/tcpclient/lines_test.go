// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInteractive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in string }{
		{"nothing", ""},
		{"lines", "one\ntwo\n\nthree\n"},
		{"no final newline", "one\ntwo"},
		{"a long line", strings.Repeat("0123456789", 300_000) + "\nshort\n"},
		{"bytes", "\x00\xff\r\n\x1b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := runClient(t, strings.NewReader(test.in), serve(t, serveEcho))
			assert.Equal(t, ExitOK, r.status, r.err)
			assert.Empty(t, r.err)
			require.Equal(t, len(test.in), len(r.out))
			assert.True(t, test.in == r.out)
		})
	}
}

func TestInteractiveOverIPv6AndByName(t *testing.T) {
	t.Parallel()
	if listener, err := net.Listen("tcp", "[::1]:0"); err == nil {
		listener.Close()
		r := runClient(t, strings.NewReader("x\n"), serveOn(t, "[::1]:0", serveEcho))
		assert.Equal(t, result{out: "x\n"}, r)
	}
	_, port, err := net.SplitHostPort(serve(t, serveEcho))
	require.NoError(t, err)
	r := runClient(t, strings.NewReader("x\n"), "-from", "127.0.0.1", "localhost:"+port)
	assert.Equal(t, result{out: "x\n"}, r)
}

// Each reply is printed as it comes, while the input is open.
func TestInteractivePrintsAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, serve(t, serveUpper))
	for _, word := range []string{"one", "two"} {
		_, err := io.WriteString(p.in, word+"\n")
		require.NoError(t, err)
		assert.Equal(t, strings.ToUpper(word), p.line())
	}
	require.NoError(t, p.in.Close())
	assert.Equal(t, ExitOK, p.wait().ExitCode())
}

// The half-close comes before the server answers anything: it answers at the end only.
func TestInteractiveHalfCloseDrains(t *testing.T) {
	t.Parallel()
	r := runClient(t, strings.NewReader("late"), serve(t, func(conn *net.TCPConn) {
		b, _ := io.ReadAll(conn)
		conn.Write(bytes.ToUpper(b))
	}))
	assert.Equal(t, result{out: "LATE"}, r)
}

// The server closes although nobody has typed anything: the client ends at once, and does
// not wait for the input.
func TestInteractiveServerCloses(t *testing.T) {
	t.Parallel()
	address := serve(t, func(conn *net.TCPConn) { io.WriteString(conn, "bye\n") })
	p := start(t, address)
	assert.Equal(t, "bye", p.line())
	assert.Equal(t, ExitServerClosed, p.wait().ExitCode())
	assert.Equal(t, programName+": "+address+" closed the connection before the end of input\n", p.err.String())
}

func TestInteractiveReset(t *testing.T) {
	t.Parallel()
	now := make(chan bool, 1)
	address := serve(t, func(conn *net.TCPConn) {
		io.WriteString(conn, "hello\n")
		<-now
		reset(conn)
	})
	p := start(t, address)
	assert.Equal(t, "hello", p.line())
	now <- true
	assert.Equal(t, ExitFailed, p.wait().ExitCode())
	assert.Equal(t, programName+": receive from "+address+": connection reset by peer\n", p.err.String())

	address = serve(t, func(conn *net.TCPConn) {
		io.ReadAll(conn)
		reset(conn)
	})
	r := runClient(t, strings.NewReader("x\n"), address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, programName+": await the end of the stream from "+address+": connection reset by peer\n", r.err)
}

// With input at hand all the time and a server that closes, the client may see the end of
// the stream or the reset that its writing causes, but never success.
func TestInteractiveServerClosesWhileWriting(t *testing.T) {
	t.Parallel()
	endless, feed := io.Pipe()
	go func() {
		for {
			if _, err := io.WriteString(feed, "more\n"); err != nil {
				return
			}
		}
	}()
	defer endless.Close()
	r := runClient(t, endless, serve(t, func(conn *net.TCPConn) { message(conn, 100) }))
	assert.Contains(t, []int{ExitFailed, ExitServerClosed}, r.status, r.err)
	assertOneLine(t, r.err)
}

func TestInteractiveTimeouts(t *testing.T) {
	t.Parallel()
	address := serve(t, func(conn *net.TCPConn) {
		message(conn, 2)
		io.WriteString(conn, "y\n")
		readEnd(conn)
		io.Copy(conn, neverReader{conn})
	})
	r := runClient(t, strings.NewReader("x\n"), "-timeout", impatience, address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, "y\n", r.out)
	assert.Equal(t, programName+": await the end of the stream from "+address+": timed out after "+impatience+"\n", r.err)

	address = overloaded(t)
	r = runClient(t, strings.NewReader(strings.Repeat("x", 64<<20)), "-timeout", impatience, address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, programName+": send to "+address+": timed out after "+impatience+"\n", r.err)
}

// A neverReader blocks until the connection is closed on this side.
type neverReader struct{ conn *net.TCPConn }

func (r neverReader) Read([]byte) (int, error) {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	return 0, raw.Read(func(uintptr) bool { return false })
}

func TestInteractiveRefused(t *testing.T) {
	t.Parallel()
	address := refusing(t)
	r := runClient(t, nil, address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, programName+": connect to "+address+": connection refused\n", r.err)
}

func TestInteractiveInputFails(t *testing.T) {
	t.Parallel()
	in, feed := io.Pipe()
	feed.CloseWithError(fmt.Errorf("torn wire"))
	r := runClient(t, in, serve(t, serveEcho))
	assert.Equal(t, ExitFailed, r.status)
	assert.Contains(t, r.err, "read standard input: torn wire")
	assertOneLine(t, r.err)
}

func TestCounting(t *testing.T) {
	t.Parallel()
	r := runClient(t, nil, "-count", "3", "-interval", "1ms", serve(t, serveUpper))
	assert.Equal(t, result{out: "DATA : 0\nDATA : 1\nDATA : 2\n"}, r)
	r = runClient(t, nil, "-count", "1", "-interval", "1h", serve(t, serveEcho))
	assert.Equal(t, result{out: "data : 0\n"}, r)
}

func TestCountingServerCloses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-count", "0", "-interval", "1ms"}, {"-count", "2", "-interval", "1h"}} {
		address := serve(t, func(conn *net.TCPConn) {
			conn.Write(message(conn, 9))
			conn.CloseWrite()
			readEnd(conn)
		})
		r := runClient(t, nil, append(args, address)...)
		assert.Equal(t, ExitServerClosed, r.status)
		assert.Equal(t, "data : 0\n", r.out)
		assert.Equal(t, programName+": "+address+" closed the connection before the end of input\n", r.err)
	}
}

func TestCountingReset(t *testing.T) {
	t.Parallel()
	address := serve(t, func(conn *net.TCPConn) {
		message(conn, 9)
		reset(conn)
	})
	r := runClient(t, nil, "-count", "0", "-interval", "1h", address)
	assert.Equal(t, ExitFailed, r.status)
	assert.Equal(t, programName+": receive from "+address+": connection reset by peer\n", r.err)
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
