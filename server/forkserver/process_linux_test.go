// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"forkrig/rig/observe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what has to come. It is long, because
// only a test that fails waits so long.
const patience = 30 * time.Second

// process is a server that a test started.
type process struct {
	tb      testing.TB
	cmd     *exec.Cmd
	pid     int
	address string
	exited  chan struct{} // closed when the server ended and its output is complete

	mu    sync.Mutex
	lines []string
}

// event is one line of the server's output.
type event struct {
	Msg     string
	Address string
	Peer    string
	Worker  any
	Workers int
	Status  *int
	Signal  string
	Errno   string
	Error   string
	Counts  Counts
}

// start starts the server on a free port of 127.0.0.1, or as args say, and
// waits until it listens.
func start(tb testing.TB, args ...string) *process {
	return startCommand(tb, command(serverName, append([]string{"-listen", "127.0.0.1:0"}, args...)...))
}

func startCommand(tb testing.TB, cmd *exec.Cmd) *process {
	tb.Helper()
	p := launch(tb, cmd)
	p.address = p.awaitEvent("listening").Address
	return p
}

// launch starts the server and waits for nothing. When the test ends it kills
// the server and whatever children it has.
func launch(tb testing.TB, cmd *exec.Cmd) *process {
	tb.Helper()
	stderr, w, err := os.Pipe()
	require.NoError(tb, err)
	cmd.Stderr = w
	require.NoError(tb, cmd.Start())
	p := &process{tb: tb, cmd: cmd, pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		defer close(p.exited)
		ended := make(chan struct{})
		go func() { // until the server and all its workers have ended, or endOfOutput
			defer close(ended)
			defer stderr.Close()
			for s := bufio.NewScanner(stderr); s.Scan() && s.Text() != endOfOutput; {
				p.mu.Lock()
				p.lines = append(p.lines, s.Text())
				p.mu.Unlock()
			}
		}()
		cmd.Wait()
		if isBeingLeft(cmd.Args) { // its workers keep the pipe
			fmt.Fprintln(w, endOfOutput)
		}
		w.Close()
		<-ended
	}()
	tb.Cleanup(func() {
		children := children(p.pid)
		cmd.Process.Kill()
		for _, c := range children {
			unix.Kill(c.PID, unix.SIGKILL)
		}
		<-p.exited
		if tb.Failed() {
			tb.Logf("output of %v:\n%s", cmd.Args, strings.Join(p.output(), "\n"))
		}
	})
	return p
}

// endOfOutput is what the test itself writes after the last line of a server.
const endOfOutput = "end of output"

func isBeingLeft(args []string) bool {
	return slices.Contains(args, "-leave-workers") || slices.Contains(args, OrphansOnTerm.String())
}

func (p *process) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

// events returns the events of this name so far.
func (p *process) events(name string) (found []event) {
	for _, line := range p.output() {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Msg == name {
			found = append(found, e)
		}
	}
	return found
}

func (p *process) awaitEvent(name string) (e event) {
	p.tb.Helper()
	await(p.tb, "event "+name, func() bool {
		if found := p.events(name); len(found) > 0 {
			e = found[0]
			return true
		}
		select {
		case <-p.exited:
			require.FailNow(p.tb, "server ended before event "+name, strings.Join(p.output(), "\n"))
		default:
		}
		return false
	})
	return e
}

func (p *process) signal(s syscall.Signal) {
	p.tb.Helper()
	require.NoError(p.tb, p.cmd.Process.Signal(s))
}

// stop ends the server with SIGTERM and returns what it counted.
func (p *process) stop() Counts {
	p.tb.Helper()
	p.signal(unix.SIGTERM)
	return p.awaitExit(0)
}

// awaitExit waits for the server to end with this status, and returns what it counted.
func (p *process) awaitExit(status int) Counts {
	p.tb.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		require.FailNow(p.tb, "server did not end", strings.Join(p.output(), "\n"))
	}
	require.Equal(p.tb, status, p.cmd.ProcessState.ExitCode(), "%v", p.cmd.ProcessState)
	lines := p.output()
	require.NotEmpty(p.tb, lines)
	counts, err := ParseCounts([]byte(lines[len(lines)-1]))
	require.NoError(p.tb, err)
	return counts
}

// dial connects to the server.
func (p *process) dial() *net.TCPConn {
	p.tb.Helper()
	conn, err := net.DialTimeout("tcp", p.address, patience)
	require.NoError(p.tb, err)
	p.tb.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// talk connects, says something, hears it again and returns the connection.
func (p *process) talk() *net.TCPConn {
	p.tb.Helper()
	conn := p.dial()
	require.Equal(p.tb, "hello", ask(p.tb, conn, "hello"))
	return conn
}

func ask(tb testing.TB, conn net.Conn, question string) string {
	tb.Helper()
	_, err := io.WriteString(conn, question)
	require.NoError(tb, err)
	answer := make([]byte, len(question))
	_, err = io.ReadFull(conn, answer)
	require.NoError(tb, err)
	return string(answer)
}

// children returns the child processes of pid, zombies included.
func children(pid int) (found observe.ProcessInfos) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			if c, err := observe.ReadProcess(n); err == nil && c.ParentPID == pid {
				found = append(found, c)
			}
		}
	}
	return found
}

func zombies(pid int) int { return len(children(pid).Zombies()) }

// gone reports whether the process has ended. A zombie has: its parent may be
// anybody's init, which reaps when it likes.
func gone(pid int) bool {
	c, err := observe.ReadProcess(pid)
	return err != nil || c.State == observe.Zombie
}

// awaitBlockedIn waits until the process sleeps in the system call of this number.
func awaitBlockedIn(tb testing.TB, pid, number int) {
	tb.Helper()
	await(tb, fmt.Sprintf("process %d in system call %d", pid, number), func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid)) // "running", or number and arguments
		require.NoError(tb, err)
		return strings.HasPrefix(string(b), strconv.Itoa(number)+" ")
	})
}

// stopAndContinue sends SIGSTOP and, once the process has stopped, SIGCONT.
func stopAndContinue(tb testing.TB, pid int) {
	tb.Helper()
	require.NoError(tb, unix.Kill(pid, unix.SIGSTOP))
	await(tb, "stopped process", func() bool { c, _ := observe.ReadProcess(pid); return c.State == observe.Stopped })
	require.NoError(tb, unix.Kill(pid, unix.SIGCONT))
}

// statusField returns a field of /proc/PID/status, such as SigCgt.
func statusField(tb testing.TB, pid int, name string) string {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(tb, err)
	value, err := observe.StatusField(b, name)
	require.NoError(tb, err)
	return value
}

// signalSet reads a field that is a set of signals.
func signalSet(tb testing.TB, pid int, name string) uint64 {
	tb.Helper()
	set, err := strconv.ParseUint(statusField(tb, pid, name), 16, 64)
	require.NoError(tb, err)
	return set
}

// await polls until the kernel shows what the test waits for.
func await(tb testing.TB, what string, seen func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !seen() {
		select {
		case <-tick.C:
		case <-deadline:
			require.FailNow(tb, "not seen within "+patience.String(), what)
		}
	}
}
