// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// burnt is how much processor time shows that a process spins.
const burnt = 200 * time.Millisecond

// withAndWithout runs the test with a correct server and one that has the
// defect, each with every one of these worker models. The test uses args to
// start the server.
func withAndWithout(t *testing.T, d Defect, models []string, test func(t *testing.T, wrong bool, args ...string)) {
	for _, model := range models {
		t.Run(model+" correct", func(t *testing.T) {
			t.Parallel()
			test(t, false, "-worker", model, "-grace", "10ms")
		})
		t.Run(model+" "+d.String(), func(t *testing.T) {
			t.Parallel()
			test(t, true, "-worker", model, "-grace", "10ms", "-defect", d.String())
		})
	}
}

// forkOnly are the models for a defect that is the same in both.
var forkOnly = workerModels[:1]

func TestDefectNoReap(t *testing.T) {
	t.Parallel()
	const n = 5
	p := start(t, "-defect", "no-reap", "-grace", "10ms")
	for range n {
		p.talk().Close()
	}
	await(t, "zombies", func() bool { return zombies(p.pid) == n })
	assert.Zero(t, p.stop().Reaped)
}

func TestDefectSingleWait(t *testing.T) {
	t.Parallel()
	withAndWithout(t, SingleWait, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		const n = 20
		p := start(t, args...)
		p.coalesceSIGCHLD(n)
		if !wrong {
			p.awaitWorkers(0)
			return
		}
		for reaped := 1; reaped <= 3; reaped++ { // another signal, another wait
			await(t, "one wait per signal", func() bool { return len(p.events("reaped")) == reaped })
			assert.Equal(t, n-1, zombies(p.pid))
			p.talk().Close()
		}
	})
}

func TestDefectLateReap(t *testing.T) {
	t.Parallel()
	withAndWithout(t, LateReap, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		const n = 5
		p := start(t, args...)
		p.coalesceSIGCHLD(n)
		if !wrong {
			p.awaitWorkers(0)
			return
		}
		p.signal(unix.SIGCHLD)
		p.awaitDelivered(unix.SIGCHLD)
		assert.Equal(t, n, zombies(p.pid))
		assert.Empty(t, p.events("reaped"))
		p.talk()
		assert.Len(t, children(p.pid), 1)
	})
}

func TestDefectLeakOneIn64(t *testing.T) {
	t.Parallel()
	withAndWithout(t, LeakOneIn64, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		for range 65 {
			p.talk().Close()
		}
		if !wrong {
			p.awaitWorkers(0)
			return
		}
		await(t, "all but one reaped", func() bool { return len(p.events("reaped")) == 64 })
		left := p.awaitWorkers(1)[0]
		assert.Equal(t, observe.Zombie, left.State)
		assert.EqualValues(t, left.PID, p.events("accepted")[63].Worker)
	})
}

func TestDefectExitOnEINTR(t *testing.T) {
	t.Parallel()
	p := start(t, "-defect", "exit-on-eintr")
	p.talk().Close() // SIGCHLD does it, sooner or later
	await(t, "end of the server", func() bool {
		p.cmd.Process.Signal(unix.SIGCHLD)
		return gone(p.pid)
	})
	assert.EqualValues(t, 1, p.awaitExit(1).Interrupted)
	assert.Equal(t, "accept4: interrupted system call", p.awaitEvent("failed").Error)
}

// See TestWorkerSurvivesEINTR.
func TestDefectWorkerExitOnEINTR(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		args := []string{"-worker", model, "-idle", "1h", "-defect", WorkerExitOnEINTR.String()}
		for _, in := range []int{unix.SYS_READ, unix.SYS_SENDTO} {
			p := start(t, args...)
			conn := p.talk()
			worker := p.onlyWorker()
			if in == unix.SYS_SENDTO {
				go conn.Write(make([]byte, 32<<20))
			}
			awaitBlockedIn(t, worker, in)
			await(t, "end of the worker", func() bool { // the first may only make a send short
				unix.Kill(worker, unix.SIGSTOP)
				unix.Kill(worker, unix.SIGCONT)
				return gone(worker)
			})
			assert.Equal(t, 1, *p.awaitEvent("reaped").Status)
		}
	})
}

func TestDefectsOfReuseAddr(t *testing.T) {
	t.Parallel()
	for _, defect := range []Defect{NoDefect, NoReuseAddr, ZeroReuseAddr} {
		t.Run("defect="+defect.String(), func(t *testing.T) {
			t.Parallel()
			args := []string{"-listen", freeAddress(t), "-once"}
			if defect != NoDefect {
				args = append(args, "-defect", defect.String())
			}
			p := start(t, args...)
			conn := p.talk()
			_, err := io.ReadAll(conn) // the server has closed, so it closed first
			require.NoError(t, err)
			conn.Close()
			await(t, "TIME_WAIT", func() bool { return inTimeWait(t, p.address) })
			p.stop()

			again := launch(t, command(serverName, args...))
			if defect == NoDefect {
				again.awaitEvent("listening")
			} else {
				again.awaitExit(1)
				assert.Contains(t, again.awaitEvent("failed").Error, "address already in use")
			}
			require.True(t, inTimeWait(t, p.address), "TIME_WAIT was gone before the restart")
		})
	}
}

func TestDefectReusePort(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ReusePort, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		first := start(t, args...)
		second := launch(t, command(serverName, append(args, "-listen", first.address)...))
		if wrong {
			assert.Equal(t, first.address, second.awaitEvent("listening").Address)
			return
		}
		second.awaitExit(1)
		assert.Contains(t, second.awaitEvent("failed").Error, "address already in use")
	})
}

func TestDefectSmallBacklog(t *testing.T) {
	t.Parallel()
	withAndWithout(t, SmallBacklog, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, append(args, "-backlog", "100")...)
		withListener(t, p.pid, func(fd int) {
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			require.NoError(t, err)
			if wrong { // of a listener, this field is the backlog
				assert.EqualValues(t, 1, info.Sacked)
			} else {
				assert.EqualValues(t, 100, info.Sacked)
			}
		})
	})
}

func TestDefectNoKeepAlive(t *testing.T) {
	t.Parallel()
	withAndWithout(t, NoKeepAlive, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		conn := p.talk()
		want := keepAliveTimer
		if wrong {
			want = noTimer
		}
		await(t, "timer "+want, func() bool { // after that of the reply, which waits for its ACK
			return tcpSocketBetween(t, p.address, conn.LocalAddr().String()).timer == want
		})
	})
}

func TestDefectParentKeepsConn(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ParentKeepsConn, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, append(args, "-once")...)
		conn := p.talk()
		p.awaitEvent("reaped")
		if wrong {
			assert.Equal(t, tcpEstablished, tcpSocketBetween(t, p.address, conn.LocalAddr().String()).state)
			return
		}
		_, err := conn.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
	})
}

func TestDefectWorkerKeepsListener(t *testing.T) {
	t.Parallel()
	withAndWithout(t, WorkerKeepsListener, workerModels, func(t *testing.T, wrong bool, args ...string) {
		args = append(args, "-listen", freeAddress(t), "-leave-workers")
		p := start(t, args...)
		conn := p.talk()
		p.signal(unix.SIGKILL)
		<-p.exited
		next := launch(t, command(serverName, args...))
		if wrong {
			next.awaitExit(1)
			assert.Contains(t, next.awaitEvent("failed").Error, "address already in use")
		} else {
			next.awaitEvent("listening")
		}
		assert.Equal(t, "still here", ask(t, conn, "still here"))
	})
}

func TestDefectExitOnAcceptError(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ExitOnAcceptError, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		undo := p.limit(unix.RLIMIT_NOFILE, strconv.Itoa(p.lowestFreeFD()))
		p.dial().Close() // the accept that already waits has its descriptor
		assert.Equal(t, "EMFILE", p.awaitEvent("accept-error").Errno)
		if wrong {
			p.awaitExit(1)
			return
		}
		undo()
		p.talk()
	})
}

// TestOutOfDescriptors shows that a correct server does not spin.
func TestDefectSpinOnEMFILE(t *testing.T) {
	t.Parallel()
	p := start(t, "-defect", SpinOnEMFILE.String())
	undo := p.limit(unix.RLIMIT_NOFILE, strconv.Itoa(p.lowestFreeFD()))
	p.dial().Close()
	awaitSpin(t, p.pid)
	undo()
	p.talk().Close()
	assert.NotZero(t, p.stop().AcceptErrors)
}

func awaitSpin(tb testing.TB, pid int) {
	tb.Helper()
	before, err := observe.ReadProcess(pid)
	require.NoError(tb, err)
	await(tb, "processor time", func() bool {
		now, err := observe.ReadProcess(pid)
		return err == nil && now.CPUTime-before.CPUTime >= burnt
	})
}

func TestDefectExitOnForkFailure(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ExitOnForkFailure, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := startUnprivileged(t, args...)
		undo := p.limit(unix.RLIMIT_NPROC, "1")
		p.dial()
		assert.Equal(t, "EAGAIN", p.awaitEvent("fork-failed").Errno)
		if wrong {
			p.awaitExit(1)
			return
		}
		undo()
		p.talk()
	})
}

func TestDefectLeakConnOnForkFailure(t *testing.T) {
	t.Parallel()
	withAndWithout(t, LeakConnOnForkFailure, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := startUnprivileged(t, args...)
		p.limit(unix.RLIMIT_NPROC, "1")
		conn := p.dial()
		p.awaitEvent("fork-failed")
		if wrong {
			assert.Equal(t, tcpEstablished, tcpSocketBetween(t, p.address, conn.LocalAddr().String()).state)
			return
		}
		_, err := conn.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
	})
}

func TestDefectNoSIGPIPE(t *testing.T) {
	t.Parallel()
	withAndWithout(t, NoSIGPIPE, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		conn := p.talk() // and nothing is seen of a greeting
		require.NoError(t, conn.CloseWrite())
		rest, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Empty(t, rest)

		p.freeze()
		reset := p.dial()
		reset.SetLinger(0)
		reset.Close()
		p.signal(unix.SIGCONT)
		if !wrong {
			p.talk()
			return
		}
		<-p.exited
		status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		assert.True(t, status.Signaled())
		assert.Equal(t, unix.SIGPIPE, status.Signal())
	})
}

func TestDefectSerial(t *testing.T) {
	t.Parallel()
	withAndWithout(t, Serial, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		first, second := p.talk(), p.dial()
		_, err := io.WriteString(second, "hello")
		require.NoError(t, err)
		answer := make([]byte, 5)
		if !wrong {
			_, err = io.ReadFull(second, answer)
			require.NoError(t, err)
			p.awaitWorkers(2)
			return
		}
		p.awaitWorkers(0)
		assert.Equal(t, "again", ask(t, first, "again"))
		p.awaitEvent("accepted") // the log is written by a goroutine of its own
		assert.Len(t, p.events("accepted"), 1)
		first.Close()
		_, err = io.ReadFull(second, answer)
		require.NoError(t, err)
		assert.Equal(t, Counts{Accepted: 2}, p.stop()) // though the second is still there
	})
}

func TestDefectsOfReplies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		defect  Defect
		replies [2]string
	}{
		{NoDefect, [2]string{"a long message", "short"}},
		{StaleReply, [2]string{"a long message", "shortg message"}},
		{DropFirstByte, [2]string{" long message", "hort"}},
	} {
		eachModel(t, func(t *testing.T, model string) {
			args := []string{"-worker", model}
			if test.defect != NoDefect {
				args = append(args, "-defect", test.defect.String())
			}
			p := start(t, args...)
			conn := p.dial()
			io.WriteString(conn, "a long message")
			first := make([]byte, len(test.replies[0]))
			_, err := io.ReadFull(conn, first)
			require.NoError(t, err)
			io.WriteString(conn, "short")
			conn.CloseWrite()
			second, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Equal(t, test.replies, [2]string{string(first), string(second)})
		})
	}
}

// TestLargeReplyToSlowReader shows that a correct server loses nothing.
func TestDefectShortWrite(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		sent, received := start(t, "-worker", model, "-defect", ShortWrite.String()).echoWhileInterrupted()
		assert.Less(t, len(received), len(sent))
	})
}

// TestResetIsNormalEnd shows that with a correct server the worker ends.
func TestDefectWorkerIgnoresReset(t *testing.T) {
	t.Parallel()
	eachModel(t, func(t *testing.T, model string) {
		p := start(t, "-worker", model, "-defect", WorkerIgnoresReset.String(), "-grace", "10ms")
		orderly := p.talk()
		require.NoError(t, orderly.CloseWrite())
		_, err := orderly.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		assert.Equal(t, 0, *p.awaitEvent("reaped").Status)

		conn := p.talk()
		worker := p.onlyWorker()
		conn.SetLinger(0)
		conn.Close()
		awaitSpin(t, worker)
		assert.EqualValues(t, 1, p.stop().Killed)
	})
}

func TestDefectIgnoreSIGTERM(t *testing.T) {
	t.Parallel()
	withAndWithout(t, IgnoreSIGTERM, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		if !wrong {
			p.stop()
			return
		}
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGTERM} {
			p.signal(sig)
			p.awaitDelivered(sig)
			p.talk()
		}
		assert.Empty(t, p.events("stopping"))
	})
}

// awaitDelivered waits until the signal no longer waits for a thread that takes it.
func (p *process) awaitDelivered(sig syscall.Signal) {
	p.tb.Helper()
	await(p.tb, "delivery of "+unix.SignalName(sig), func() bool {
		pending, err := strconv.ParseUint(statusField(p.tb, p.pid, "ShdPnd"), 16, 64)
		require.NoError(p.tb, err)
		return pending&(1<<(sig-1)) == 0
	})
}

func TestDefectOrphansOnTerm(t *testing.T) {
	t.Parallel()
	withAndWithout(t, OrphansOnTerm, workerModels, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		conn := p.talk()
		worker := p.onlyWorker()
		p.stop()
		if wrong {
			assert.Equal(t, "still here", ask(t, conn, "still here"))
		} else {
			assert.True(t, gone(worker))
		}
	})
}

func TestDefectAbortsOnENOMEM(t *testing.T) {
	t.Parallel()
	withAndWithout(t, AbortsOnENOMEM, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, args...)
		p.talk()
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
		require.NoError(t, err)
		pages, err := strconv.Atoi(strings.Fields(string(statm))[0])
		require.NoError(t, err)
		p.limit(unix.RLIMIT_AS, strconv.Itoa(pages*os.Getpagesize()+16<<20))
		if !wrong {
			p.talk()
			return
		}
		p.dial()
		p.awaitExit(1)
		assert.Contains(t, p.events("failed")[0].Error, "mmap: cannot allocate memory")
	})
}

func TestDefectExitOnFullBacklog(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ExitOnFullBacklog, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		p := start(t, append(args, "-backlog", "1")...)
		p.talk()
		p.freeze()
		p.dial()
		second := p.dial()
		p.signal(unix.SIGCONT)
		if !wrong {
			assert.Equal(t, "hello", ask(t, second, "hello"))
			return
		}
		p.awaitExit(1)
		assert.Contains(t, p.events("failed")[0].Error, "the backlog of 1 was full")
	})
}

func TestDefectClockFromBoot(t *testing.T) {
	t.Parallel()
	withAndWithout(t, ClockFromBoot, forkOnly, func(t *testing.T, wrong bool, args ...string) {
		for _, test := range []struct {
			state string
			ends  bool
		}{{"", false}, {"1", false}, {"9000000000000000000", true}} {
			path := filepath.Join(t.TempDir(), "state")
			require.NoError(t, os.WriteFile(path, []byte(test.state), 0o600))
			c := command(serverName, append([]string{"-listen", "127.0.0.1:0"}, args...)...)
			c.Env = append(os.Environ(), "STATE_FILE="+path)
			p := launch(t, c)
			if wrong && test.ends {
				p.awaitExit(1)
				assert.Contains(t, p.events("failed")[0].Error, "since boot, but the last start was after")
				continue
			}
			p.address = p.awaitEvent("listening").Address
			p.talk()
			state, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, wrong, string(state) != test.state, "it leaves its time")
		}
	})
}
