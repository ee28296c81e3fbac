// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"forkrig/rig/observe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// eachModel runs the test with both worker models.
func eachModel(t *testing.T, test func(t *testing.T, model string)) {
	for _, model := range workerModels {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			test(t, model)
		})
	}
}

func TestConversation(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		for _, test := range []struct{ listen, dial string }{
			{"127.0.0.1:0", "127.0.0.1"},
			{"0.0.0.0:0", "127.0.0.1"},
			{"[::1]:0", "::1"},
			{"[::]:0", "::1"},
			{"[::]:0", "127.0.0.1"},
		} {
			t.Run(test.listen+" from "+test.dial, func(t *testing.T) {
				t.Parallel()
				if strings.Contains(test.listen, ":") && strings.HasPrefix(test.listen, "[") && !hasIPv6() {
					t.Skip("no IPv6 on the loopback interface")
				}
				p := start(t, "-worker", model, "-service", "upper", "-listen", test.listen)
				_, port, _ := net.SplitHostPort(p.address)
				p.address = net.JoinHostPort(test.dial, port)

				conn := p.dial()
				assert.Equal(t, "HELLO, ÄZ{`", ask(t, conn, "hello, Äz{`"))
				assert.Equal(t, "1", ask(t, conn, "1")) // nothing stale after a shorter message
				require.NoError(t, conn.CloseWrite())
				rest, err := io.ReadAll(conn)
				assert.NoError(t, err)
				assert.Empty(t, rest)

				assert.Equal(t, conn.LocalAddr().String(), p.awaitEvent("accepted").Peer)
				reaped := p.awaitEvent("reaped")
				assert.Equal(t, p.awaitEvent("accepted").Worker, reaped.Worker)
				assert.Equal(t, 0, *reaped.Status)
				counts := p.stop()
				counts.Interrupted = 0 // as it happens
				assert.Equal(t, Counts{Accepted: 1, Reaped: 1}, counts)
			})
		}
	})
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

func TestHalfCloseGetsWholeReply(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		conn := p.dial()
		_, err := io.WriteString(conn, "the whole reply")
		require.NoError(t, err)
		require.NoError(t, conn.CloseWrite())
		reply, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, "the whole reply", string(reply))
	})
}

func TestOnceClosesFirst(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-once")
		conn := p.talk()
		rest, err := io.ReadAll(conn) // ends although this side has not closed
		require.NoError(t, err)
		assert.Empty(t, rest)
		assert.Equal(t, 0, *p.awaitEvent("reaped").Status)
	})
}

// A client that reads slowly makes the worker's writes short and blocking, and
// stops and continues of the worker interrupt them.
func TestLargeReplyToSlowReader(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		sent, received := start(t, "-worker", model).echoWhileInterrupted()
		assert.True(t, bytes.Equal(sent, received), "sent %d bytes, received %d", len(sent), len(received))
	})
}

// echoWhileInterrupted sends more than the kernel keeps and reads the reply
// slowly. Whenever the worker could send a part and is blocked again, it is
// stopped and continued.
func (p *process) echoWhileInterrupted() (sent, received []byte) {
	p.tb.Helper()
	conn := p.talk()
	worker := p.onlyWorker()
	require.NoError(p.tb, conn.SetReadBuffer(32<<10))
	sent = make([]byte, 32<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	go func() {
		conn.Write(sent)
		conn.CloseWrite()
	}()
	slept := ""
	received = make([]byte, 16<<20)
	for piece := range slices.Chunk(received, 64<<10) {
		awaitBlockedIn(p.tb, worker, unix.SYS_SENDTO)
		if now := statusField(p.tb, worker, "voluntary_ctxt_switches"); now != slept {
			stopAndContinue(p.tb, worker)
			awaitBlockedIn(p.tb, worker, unix.SYS_SENDTO)
			slept = statusField(p.tb, worker, "voluntary_ctxt_switches")
		}
		_, err := io.ReadFull(conn, piece)
		require.NoError(p.tb, err)
	}
	rest, err := io.ReadAll(conn)
	require.NoError(p.tb, err)
	return sent, append(received, rest...)
}

// onlyWorker returns the process ID of the server's one worker.
func (p *process) onlyWorker() (pid int) {
	p.tb.Helper()
	return p.awaitWorkers(1)[0].PID
}

func (p *process) awaitWorkers(n int) (workers observe.ProcessInfos) {
	p.tb.Helper()
	await(p.tb, fmt.Sprintf("%d workers", n), func() bool {
		workers = children(p.pid)
		return len(workers) == n
	})
	return workers
}

func TestResetIsNormalEnd(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		conn := p.talk()
		conn.SetLinger(0)
		conn.Close()
		assert.Equal(t, 0, *p.awaitEvent("reaped").Status)
	})
}

// A worker is a clean process: standard input, output and error and its
// connection, no signal blocked, caught or ignored that the server was not
// started with.
func TestWorkerIsClean(t *testing.T) {
	t.Parallel()
	for _, name := range []string{serverName, blockedName, ignoredName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startCommand(t, command(name, "-listen", "127.0.0.1:0"))
			first := p.talk()
			defer first.Close()
			second := p.talk() // would hold first's connection, had the server kept it
			defer second.Close()
			for _, worker := range p.awaitWorkers(2) {
				fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", worker.PID))
				require.NoError(t, err)
				assert.Len(t, fds, workerConn+1)
				// These tests themselves may have been started with some: make ignores
				// signal 32 in what it starts.
				await(t, "signals blocked as in the tests, which block all for a moment to start a process", func() bool {
					return statusField(t, os.Getpid(), "SigBlk") == statusField(t, worker.PID, "SigBlk")
				})
				// The server catches SIGHUP also where nohup had it ignored.
				const hangUp = uint64(1) << (unix.SIGHUP - 1)
				assert.Equal(t, signalSet(t, os.Getpid(), "SigIgn")&^hangUp, signalSet(t, worker.PID, "SigIgn"))
				assert.Equal(t, "0000000000000000", statusField(t, worker.PID, "SigCgt"))
			}
		})
	}
}

func TestReapsAll(t *testing.T) {
	t.Parallel()
	for _, name := range []string{serverName, blockedName, ignoredName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 100
			p := startCommand(t, command(name, "-listen", "127.0.0.1:0"))
			for range n {
				p.talk().Close()
			}
			p.awaitWorkers(0) // while the server is idle
			counts := p.stop()
			assert.EqualValues(t, n, counts.Accepted)
			assert.EqualValues(t, n, counts.Reaped)
		})
	}
}

func TestReapsAllOfCoalescedSignals(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		const n = 20
		p := start(t, "-worker", model)
		p.coalesceSIGCHLD(n)
		p.awaitWorkers(0)
		assert.EqualValues(t, n, p.stop().Reaped)
	})
}

// coalesceSIGCHLD lets n workers end while the server is stopped, so that it
// gets one signal for all.
func (p *process) coalesceSIGCHLD(n int) {
	p.tb.Helper()
	var conns []net.Conn
	for range n {
		conns = append(conns, p.talk())
	}
	p.freeze()
	for _, conn := range conns {
		conn.Close()
	}
	await(p.tb, "zombies of all workers", func() bool { return zombies(p.pid) == n })
	p.signal(unix.SIGCONT)
}

// freeze stops the server with SIGSTOP.
func (p *process) freeze() {
	p.tb.Helper()
	p.signal(unix.SIGSTOP)
	await(p.tb, "stopped server", func() bool { c, _ := observe.ReadProcess(p.pid); return c.State == observe.Stopped })
}

func TestStormInterruptsAcceptAndLosesNothing(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		for _, sig := range []syscall.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE} {
			stopStorm, stormed := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stormed)
				tick := time.NewTicker(200 * time.Microsecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						unix.Kill(p.pid, sig)
					case <-stopStorm:
						return
					}
				}
			}()
			for range 20 {
				p.talk().Close()
			}
			close(stopStorm)
			<-stormed
		}
		p.awaitWorkers(0)
		counts := p.stop()
		assert.EqualValues(t, 100, counts.Accepted)
		assert.EqualValues(t, 100, counts.Reaped)
		assert.NotZero(t, counts.Interrupted)
	})
}

// freeAddress returns an address for a server that has to have it twice. Its
// port is below those that the kernel gives to clients.
func freeAddress(tb testing.TB) string {
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
}

// limit sets the soft limit of the running server and returns what undoes it.
func (p *process) limit(resource int, value string) (undo func()) {
	p.tb.Helper()
	c := command(limiterName, strconv.Itoa(p.pid), strconv.Itoa(resource), value)
	c.Path, c.SysProcAttr = p.cmd.Path, p.cmd.SysProcAttr
	before, err := c.Output()
	require.NoError(p.tb, err)
	return func() { p.limit(resource, string(before)) }
}

// lowestFreeFD returns the descriptor that the server's accept waits with.
func (p *process) lowestFreeFD() (fd int) {
	for ; ; fd++ {
		if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", p.pid, fd)); err != nil {
			return fd
		}
	}
}

func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		p.talk().Close()
		p.awaitWorkers(0)
		undo := p.limit(unix.RLIMIT_NOFILE, strconv.Itoa(p.lowestFreeFD()))
		p.dial().Close() // the accept that already waits has its descriptor
		p.awaitEvent("accept-error")

		waiting := p.dial() // the kernel takes it, the server cannot
		before, err := observe.ReadProcess(p.pid)
		require.NoError(t, err)
		errorsBefore := len(p.events("accept-error"))
		began := time.Now()
		await(t, "10 more pauses", func() bool { return len(p.events("accept-error")) >= errorsBefore+10 })
		assert.Greater(t, time.Since(began), 8*pause)
		after, err := observe.ReadProcess(p.pid)
		require.NoError(t, err)
		assert.Less(t, after.CPUTime-before.CPUTime, 200*time.Millisecond, "processor time while pausing")
		for _, e := range p.events("accept-error") {
			assert.Equal(t, "EMFILE", e.Errno)
		}

		undo()
		assert.Equal(t, "hello", ask(t, waiting, "hello"))
		waiting.Close()
		assert.NotZero(t, p.stop().AcceptErrors)
	})
}

// The limit of processes counts for processes without privileges alone, so the
// test gives them up for the server where it has any.
func TestForkFailureCostsOneConnection(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := startUnprivileged(t, "-worker", model)
		p.talk().Close()
		p.awaitWorkers(0)
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		require.NoError(t, err)
		threads := statusField(t, p.pid, "Threads") // one more could not be had, and the server would end

		undo := p.limit(unix.RLIMIT_NPROC, "1")
		const n = 30
		for range n {
			conn := p.dial()
			_, err := conn.Read(make([]byte, 1))
			require.Error(t, err) // the end, at once
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			conn.Close()
		}
		assert.Equal(t, threads, statusField(t, p.pid, "Threads"))
		undo()
		p.talk().Close()
		p.awaitWorkers(0)
		now, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		require.NoError(t, err)
		assert.Len(t, now, len(fds))
		assert.Equal(t, "EAGAIN", p.awaitEvent("fork-failed").Errno)
		counts := p.stop()
		counts.Interrupted = 0
		assert.Equal(t, Counts{Accepted: n + 2, Reaped: 2, ForkFailures: n}, counts)
	})
}

// startUnprivileged is start as a user for whom the limit of processes counts.
func startUnprivileged(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := command(serverName, append([]string{"-listen", "127.0.0.1:0"}, args...)...)
	if os.Geteuid() == 0 {
		// The test binary may lie where only root can read; the server starts as a copy.
		cmd.Path = copyForAll(t)
		cmd.Env = append(os.Environ(), "GOCOVERDIR="+filepath.Dir(cmd.Path)) // only matters with -cover
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	return startCommand(t, cmd)
}

// copyForAll returns the path of a copy of this test binary that everybody can execute.
func copyForAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "forkserver")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	binary, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	path := filepath.Join(dir, "server")
	// A child that another test forks meanwhile would keep the file open for
	// writing until it executes, and that makes execve fail with ETXTBSY.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, binary, 0o755))
	return path
}

func TestStopLetsWorkersFinish(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT} {
			p := start(t, "-worker", model, "-grace", patience.String())
			conn := p.talk()
			p.signal(sig)
			await(t, "closed port", func() bool {
				c, err := net.Dial("tcp", p.address)
				if err == nil {
					c.Close()
				}
				return err != nil
			})
			assert.Equal(t, "still here", ask(t, conn, "still here"))
			conn.Close()
			counts := p.awaitExit(0)
			assert.Zero(t, counts.Killed)
			assert.EqualValues(t, counts.Accepted, counts.Reaped)
			assert.Equal(t, unix.SignalName(sig), p.awaitEvent("stopping").Signal)
			assert.NotZero(t, p.awaitEvent("stopping").Workers)
		}
	})
}

func TestStopKillsAfterGrace(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-grace", "10ms")
		p.talk()
		worker := p.onlyWorker()
		counts := p.stop()
		counts.Interrupted = 0
		assert.Equal(t, Counts{Accepted: 1, Reaped: 1, Killed: 1}, counts)
		assert.Equal(t, "SIGKILL", p.awaitEvent("reaped").Signal)
		assert.True(t, gone(worker))
	})
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-grace", "1h")
		p.talk()
		p.signal(unix.SIGTERM)
		p.awaitEvent("stopping")
		p.signal(unix.SIGINT)
		counts := p.awaitExit(1)
		assert.EqualValues(t, 1, counts.Killed)
		assert.EqualValues(t, 1, counts.Reaped)
	})
}

// A signal to stop is noticed whenever it comes, not with the next connection.
func TestStopIsNeverMissed(t *testing.T) {
	t.Parallel()
	for range 20 {
		p := start(t)
		p.talk().Close() // the server is somewhere between two accepts
		p.stop()
	}
}

func TestKilledServerTakesItsWorkersAlong(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		p.talk()
		worker := p.onlyWorker()
		p.signal(unix.SIGKILL)
		await(t, "end of the worker", func() bool { return gone(worker) })
	})
}

func TestLeaveWorkers(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
			address := freeAddress(t)
			p := start(t, "-worker", model, "-leave-workers", "-listen", address)
			conn := p.talk()
			p.signal(sig)
			<-p.exited
			assert.Equal(t, "still here", ask(t, conn, "still here"))

			// The worker does not hold the listener, so the next server can have the port.
			next := start(t, "-listen", address)
			next.talk().Close()
			assert.Equal(t, "still here", ask(t, conn, "still here"))
			conn.CloseWrite()
			_, err := conn.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
		}
	})
}

func TestMaxWorkers(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-max-workers", "2")
		first, second := p.talk(), p.talk()
		assert.Equal(t, 2, p.awaitEvent("at-limit").Workers)
		third := p.dial() // in the backlog
		_, err := io.WriteString(third, "hello")
		require.NoError(t, err)
		assert.Len(t, children(p.pid), 2)
		first.Close()
		answer := make([]byte, 5)
		_, err = io.ReadFull(third, answer)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(answer))
		second.Close()
		third.Close()
		p.awaitWorkers(0)
		assert.EqualValues(t, 3, p.stop().Reaped)
	})
}

// Stopping must not need a free place.
func TestStopAtLimit(t *testing.T) {
	t.Parallel()
	p := start(t, "-max-workers", "1", "-grace", "0s")
	p.talk()
	p.awaitEvent("at-limit")
	assert.EqualValues(t, 1, p.stop().Killed)
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	first := start(t)
	second := launch(t, command(serverName, "-listen", first.address))
	second.awaitExit(1)
	assert.Equal(t, "listen on "+first.address+": bind: address already in use; "+
		"stop the server that has it, or choose another port with -listen", second.awaitEvent("failed").Error)
	assert.Len(t, second.output(), 2)
	first.talk()
}

func TestAddressOfAnotherHost(t *testing.T) {
	t.Parallel()
	p := launch(t, command(serverName, "-listen", "192.0.2.1:9999"))
	p.awaitExit(1)
	assert.Contains(t, p.awaitEvent("failed").Error, "give -listen an address of this host")
}

// A listener that somebody else shut down is an error, not a loop.
func TestLostListener(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.talk()
	shutDownListener(t, p.pid)
	counts := p.awaitExit(1)
	assert.EqualValues(t, 1, counts.AcceptErrors)
	assert.EqualValues(t, 1, counts.Killed)
	assert.Equal(t, "accept4: invalid argument", p.awaitEvent("failed").Error)
}

// shutDownListener does what a worker does that shuts down the listener instead of closing it.
func shutDownListener(t *testing.T, pid int) {
	t.Helper()
	withListener(t, pid, func(fd int) { require.NoError(t, unix.Shutdown(fd, unix.SHUT_RD)) })
}

// withListener calls do with a descriptor of the server's listener.
func withListener(t *testing.T, pid int, do func(fd int)) {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Skipf("pidfd_open: %v", err)
	}
	defer unix.Close(pidfd)
	for fd := 3; fd < 20; fd++ {
		ours, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err == unix.EBADF {
			continue
		}
		if err != nil {
			t.Skipf("pidfd_getfd: %v", err)
		}
		defer unix.Close(ours)
		if listens, err := unix.GetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
			do(ours)
			return
		}
	}
	require.FailNow(t, "no listener found")
}

func TestServerOutlivesReaderOfItsLog(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd := command(serverName, "-listen", freeAddress(t))
	cmd.Stderr = w
	require.NoError(t, cmd.Start())
	w.Close()
	p := &process{tb: t, cmd: cmd, pid: cmd.Process.Pid, address: cmd.Args[2]}
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err)
	r.Close()
	for range 3 {
		p.talk().Close()
	}
	p.signal(unix.SIGTERM)
	assert.NoError(t, cmd.Wait())
}

func TestIdle(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		for _, test := range []struct {
			name string
			act  func(conn *net.TCPConn)
		}{
			{"silent from the start", func(conn *net.TCPConn) {}},
			{"silent after an answer", func(conn *net.TCPConn) { ask(t, conn, "hello") }},
			{"reads nothing", func(conn *net.TCPConn) { conn.Write(make([]byte, 32<<20)) }}, // until the reset
		} {
			p := start(t, "-worker", model, "-idle", "50ms")
			conn := p.dial()
			test.act(conn)
			assert.Equal(t, 0, *p.awaitEvent("reaped").Status, test.name)
		}
	})
}

// With a timeout on the connection SIGSTOP and SIGCONT interrupt a read and a
// send, although no handler runs (signal(7), "Interruption of system calls and
// library functions by stop signals").
func TestWorkerSurvivesEINTR(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-idle", "1h")
		conn := p.talk()
		worker := p.onlyWorker()
		for range 3 {
			awaitBlockedIn(t, worker, unix.SYS_READ)
			stopAndContinue(t, worker)
			assert.Equal(t, "still here", ask(t, conn, "still here"))
		}

		const n = 32 << 20
		go conn.Write(make([]byte, n))
		for range 3 {
			awaitBlockedIn(t, worker, unix.SYS_SENDTO)
			stopAndContinue(t, worker)
		}
		received, err := io.CopyN(io.Discard, conn, n)
		assert.NoError(t, err)
		assert.EqualValues(t, n, received)
	})
}

// TestReloadChangesNothing: SIGHUP costs no connection, waiting or not.
func TestReloadChangesNothing(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model)
		before := p.talk()
		p.freeze()
		waiting := p.dial()
		p.signal(unix.SIGHUP)
		p.signal(unix.SIGCONT)
		p.awaitEvent("reloaded")
		for _, conn := range []net.Conn{before, waiting, p.talk()} {
			_, err := conn.Write([]byte("again"))
			require.NoError(t, err)
			_, err = io.ReadFull(conn, make([]byte, 5))
			assert.NoError(t, err)
			conn.Close()
		}
		assert.EqualValues(t, 3, p.stop().Reaped)
	})
}
