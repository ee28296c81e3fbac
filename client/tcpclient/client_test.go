// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// programName makes the test binary the client.
	programName = "forkrig-client-in-test"
	// patience is how long a test waits for an observation that has to come.
	patience = 30 * time.Second
	// impatience is the client's -timeout where a timeout has to come.
	impatience = "200ms"
)

func TestMain(m *testing.M) {
	if os.Args[0] == programName {
		os.Exit(Main(os.Args))
	}
	// The race detector makes every process sleep a second at its exit, unless told.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	os.Exit(m.Run())
}

// A safeBuffer is a buffer that a goroutine left behind may still write to.
type safeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

type result struct {
	status   int
	out, err string
}

// runClient runs the client in this process, to its end.
func runClient(t *testing.T, in io.Reader, args ...string) result {
	t.Helper()
	if in == nil {
		in = strings.NewReader("")
	}
	var out, err safeBuffer
	ended := make(chan int, 1)
	go func() { ended <- run(append([]string{programName}, args...), streams{in, &out, &err}) }()
	select {
	case status := <-ended:
		return result{status, out.String(), err.String()}
	case <-time.After(patience):
		require.FailNow(t, "the client does not end", "%v\nstdout: %s\nstderr: %s", args, out.String(), err.String())
		return result{}
	}
}

// runReport runs a load in this process and returns its report.
func runReport(t *testing.T, args ...string) (Report, result) {
	t.Helper()
	r := runClient(t, nil, append([]string{"-json"}, args...)...)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	report := decodeReport(t, lines[len(lines)-1], r.err)
	return report, r
}

func decodeReport(t *testing.T, line, stderr string) Report {
	t.Helper()
	var report Report
	require.NoError(t, json.Unmarshal([]byte(line), &report), "line %q, stderr %q", line, stderr)
	require.Equal(t, "report", report.Event)
	sum := report.OK + report.Refused + report.Reset + report.TimedOut + report.ClosedEarly + report.Mismatched + report.Other
	assert.Equal(t, report.Connections, sum, "every connection has one outcome: %s", line)
	return report
}

// A program is a client in a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of standard output; closed at its end
	err   safeBuffer
	once  sync.Once
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &program{t: t, lines: make(chan string, 1000)}
	p.cmd = &exec.Cmd{Path: self, Args: append([]string{programName}, args...), Stderr: &p.err}
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.reap()
	})
	return p
}

func (p *program) reap() { p.once.Do(func() { _ = p.cmd.Wait() }) }

// line returns the next line of standard output.
func (p *program) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		require.True(p.t, ok, "the output has ended; stderr: %s", p.err.String())
		return line
	case <-time.After(patience):
		require.FailNow(p.t, "no line comes", "stderr: %s", p.err.String())
		return ""
	}
}

func (p *program) holding() Gathered {
	p.t.Helper()
	var g Gathered
	line := p.line()
	require.NoError(p.t, json.Unmarshal([]byte(line), &g), line)
	require.Equal(p.t, "holding", g.Event, line)
	return g
}

func (p *program) report() Report {
	p.t.Helper()
	return decodeReport(p.t, p.line(), p.err.String())
}

// wait returns the state of the ended process; no line may be left.
func (p *program) wait() *os.ProcessState {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		require.False(p.t, ok, "surplus line %q", line)
	case <-time.After(patience):
		require.FailNow(p.t, "the client does not end")
	}
	p.reap()
	return p.cmd.ProcessState
}

func assertOneLine(t *testing.T, text string) {
	t.Helper()
	assert.Equal(t, 1, strings.Count(text, "\n"), "one line: %q", text)
	assert.True(t, strings.HasSuffix(text, "\n"), "one whole line: %q", text)
}

// await returns the next value, which has to come.
func await[T any](t *testing.T, values <-chan T) T {
	t.Helper()
	select {
	case v := <-values:
		return v
	case <-time.After(patience):
		require.FailNow(t, "what is awaited does not come")
		panic("unreachable")
	}
}

var errEOF = errors.New("end of stream")

// serve runs handle for every connection until the test ends, and closes the connection
// after it. It returns the address.
func serve(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", handle)
}

func serveOn(t *testing.T, address string, handle func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	var mu sync.Mutex
	var open []net.Conn
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			handlers.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		handlers.Wait()
	})
	return listener.Addr().String()
}

// transform serves each read through f, to the end of the stream.
func transform(f func([]byte) []byte) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if _, err := conn.Write(f(buffer[:n])); err != nil {
				return
			}
		}
	}
}

func same(b []byte) []byte { return b }

var (
	serveEcho  = transform(same)
	serveUpper = transform(bytes.ToUpper)
)

// oneShot answers one read and closes first.
func oneShot(conn *net.TCPConn) {
	buffer := make([]byte, 64<<10)
	if n, err := conn.Read(buffer); err == nil {
		conn.Write(buffer[:n])
	}
}

// reset closes the connection with a reset.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// readEnd reads to the end and says how it ended: errEOF, ECONNRESET or another error.
func readEnd(conn *net.TCPConn) error {
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return ending(err)
	}
	return errEOF
}

// ending reduces the error that ends a connection to how it ended.
func ending(err error) error {
	switch {
	case err == io.EOF:
		return errEOF
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return syscall.ECONNRESET
	}
	return err
}

// echoEnds echoes and tells how each connection ended.
func echoEnds(ends chan<- error) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buffer)
			if err == nil {
				_, err = conn.Write(buffer[:n])
			}
			if err != nil {
				ends <- ending(err)
				return
			}
		}
	}
}

// message reads one message of n bytes.
func message(conn *net.TCPConn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil
	}
	return b
}

// refusing returns an address at which connections are refused: its port is bound, so that
// nobody else can listen there, and does not listen.
func refusing(t *testing.T) string {
	t.Helper()
	return bound(t, -1)
}

// overloaded returns an address that lets one connection wait in its queue, accepts none,
// and drops what comes after it.
func overloaded(t *testing.T) string {
	t.Helper()
	return bound(t, 0)
}

func bound(t *testing.T, backlog int) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if backlog >= 0 {
		require.NoError(t, syscall.Listen(fd, backlog))
	}
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := name.(*syscall.SockaddrInet4)
	return (&net.TCPAddr{IP: address.Addr[:], Port: address.Port}).String()
}
