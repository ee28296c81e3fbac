// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/observe"
)

// TestStormSendsWhatItSays compares what a storm says it sent with what its
// target received. Signals of one kind merge while they are pending (signal(7)),
// so fewer may arrive, but never more, and never none.
func TestStormSendsWhatItSays(t *testing.T) {
	t.Parallel()
	lab := New(t)
	c := Program("counting")
	c.Stdin = true
	target := startReady(t, lab.NewHost("h"), c)
	storm, err := lab.StartStorm(Storm{
		Signals: []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2},
		Targets: []Target{target.Itself()}, RatePerSecond: 2000, Count: 200,
	})
	require.NoError(t, err)
	result, err := storm.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 200, result.Sent)
	assert.Zero(t, result.Missed)
	assert.GreaterOrEqual(t, result.Duration, 90*time.Millisecond, "the rate is an upper bound")
	require.NoError(t, target.Stdin.Close())
	exit, err := target.Wait(t.Context())
	require.NoError(t, err)
	require.True(t, exit.Success(), exit.String())
	require.NoError(t, target.Stdout.AwaitEnd(t.Context()))
	var received int
	lines := target.Stdout.Lines()
	_, err = fmt.Sscanf(lines[len(lines)-1], "received %d", &received)
	require.NoError(t, err, lines)
	assert.LessOrEqual(t, received, result.Sent)
	assert.Positive(t, received)
	assert.Contains(t, lab.Journal.Tail(100), "200 signals sent")
}

// TestStormFindsDescendants aims at the children and not at the parent.
func TestStormFindsDescendants(t *testing.T) {
	t.Parallel()
	lab := New(t)
	parent := startReady(t, lab.NewHost("h"), Program("orphaning"))
	storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGINT}, Targets: []Target{parent.Workers()}})
	require.NoError(t, err)
	// SIGINT ends the child, which has no handler for it; the parent lives.
	_, err = parent.AwaitDescendants(t.Context(), "the child's end", func(l ProcessInfos) bool { return len(l.Alive()) == 0 })
	require.NoError(t, err)
	result, err := storm.Stop()
	require.NoError(t, err)
	assert.Positive(t, result.Sent)
	assert.True(t, parent.Running())
	_, err = parent.Stop(t.Context())
	require.NoError(t, err)
}

func TestStormOfStopSignalsHeals(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), stoppable("counting"))
	storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGSTOP}, Targets: []Target{target.Itself()}})
	require.NoError(t, err)
	require.NoError(t, Await(t.Context(), "the target stopped", func() (bool, string, error) {
		info, err := target.Info()
		return info.State == Stopped, info.String(), err
	}))
	_, err = storm.Stop()
	require.NoError(t, err)
	require.NoError(t, Await(t.Context(), "the target going on", func() (bool, string, error) {
		info, err := target.Info()
		return info.State != Stopped, info.String(), err
	}))
}

// TestStormEndsWithItsTarget before it has sent its count.
func TestStormEndsWithItsTarget(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sleep")
	lab := New(t)
	// Not a Go program, whose handler unblocks the signal before it ends the process: a flood
	// of the signal may then overflow the signal stack, which is a SIGSEGV.
	target := lab.NewHost("h").MustStart(Exec("sleep", "1000"))
	storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGINT}, Targets: []Target{target.Itself()}, Count: 1 << 40})
	require.NoError(t, err)
	result, err := storm.Wait(t.Context())
	require.NoError(t, err)
	assert.Positive(t, result.Sent)
	assert.False(t, target.Running() && result.Missed == 0)
}

// TestStormStartedWhileItsLabEnds: the lab ends while the storm looks up its targets,
// and so after it was seen to be open.
func TestStormStartedWhileItsLabEnds(t *testing.T) {
	t.Parallel()
	lookingUp, ended := make(chan struct{}), make(chan struct{})
	started := make(chan error, 1)
	outcome := Try(t, func(tb testing.TB) {
		lab := New(tb)
		host := lab.NewHost("h")
		startReady(tb, host, stoppable("counting"))
		var once sync.Once
		target := host.Matching("everything", func(ProcessInfo) bool {
			once.Do(func() { close(lookingUp) })
			<-ended
			return true
		})
		go func() {
			storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []Target{target}})
			if err == nil {
				_, _ = storm.Stop()
			}
			started <- err
		}()
		<-lookingUp
	})
	close(ended)
	assert.False(t, outcome.Failed, outcome.Log)
	assert.ErrorIs(t, <-started, ErrClosed)
}

func TestStormsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), stoppable("counting")).Itself()
	usr1 := []syscall.Signal{syscall.SIGUSR1}
	for want, storm := range map[string]Storm{
		"no signals":          {Targets: []Target{target}},
		"no targets":          {Signals: usr1},
		"the target is empty": {Signals: usr1, Targets: []Target{{}}},
		"use KillTogether":    {Signals: []syscall.Signal{syscall.SIGKILL}, Targets: []Target{target}},
		"give a rate up to":   {Signals: usr1, Targets: []Target{target}, RatePerSecond: 1e300},
		"a storm of -1":       {Signals: usr1, Targets: []Target{target}, RatePerSecond: -1},
		"cannot be negative":  {Signals: usr1, Targets: []Target{target}, Count: -1},
		"without a pause":     {Signals: usr1, Targets: []Target{target}, Burst: 10},
		"and no bursts":       {Signals: usr1, Targets: []Target{target}, Pause: time.Second},
		"bursts or a rate":    {Signals: usr1, Targets: []Target{target}, Burst: 10, Pause: time.Second, RatePerSecond: 10},
		"burst and pause of":  {Signals: usr1, Targets: []Target{target}, Burst: -10, Pause: time.Second},
		"on a whole process":  {Signals: []syscall.Signal{syscall.SIGCONT}, Targets: []Target{target}, Threads: true},
		"data of SIGSTOP":     {Signals: []syscall.Signal{syscall.SIGSTOP}, Targets: []Target{target}, Queued: true},
		"go from 1 to 64":     {Signals: []syscall.Signal{0}, Targets: []Target{target}},
	} {
		_, err := lab.StartStorm(storm)
		assert.ErrorContains(t, err, want)
	}
}

// TestStormAtThreads sees the signals wait at single threads, and at none of them
// together: the target blocks them, and /proc tells the two apart (ShdPnd).
func TestStormAtThreads(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), blockingCommand())
	for _, queued := range []bool{false, true} {
		signal := map[bool]syscall.Signal{false: syscall.SIGUSR1, true: syscall.SIGUSR2}[queued]
		threads, err := observe.ListThreads(target.PID) // more may come
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(threads), 3)
		storm, err := lab.StartStorm(Storm{
			Signals: []syscall.Signal{signal}, Targets: []Target{target.Itself()}, Count: 400, Threads: true, Queued: queued,
		})
		require.NoError(t, err)
		result, err := storm.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 400, result.Sent)
		for _, thread := range threads {
			own, shared := pendingOf(t, target.PID, thread)
			assert.True(t, own.Has(signal), "%v pending at thread %d of %v", signal, thread, threads)
			assert.False(t, shared.Has(signal), "%v pending at the process", signal)
		}
	}
	const control = syscall.Signal(40)
	storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{control}, Targets: []Target{target.Itself()}, Count: 10})
	require.NoError(t, err)
	_, err = storm.Wait(t.Context())
	require.NoError(t, err)
	own, shared := pendingOf(t, target.PID, target.PID)
	assert.False(t, own.Has(control))
	assert.True(t, shared.Has(control), "a signal to the process")
}

// pendingOf reads which signals wait at a thread, and which at its process.
func pendingOf(tb testing.TB, pid, thread int) (own, shared SignalSet) {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, thread))
	require.NoError(tb, err)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		mask, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch name {
		case "SigPnd":
			own = SignalSet(mask)
		case "ShdPnd":
			shared = SignalSet(mask)
		}
	}
	return own, shared
}

// TestStormWithData reads back what each signal carries. Real-time signals queue,
// so every one arrives, in order.
func TestStormWithData(t *testing.T) {
	t.Parallel()
	const realTime = syscall.Signal(40)
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), blockingCommand())
	storm, err := lab.StartStorm(Storm{
		Signals: []syscall.Signal{realTime}, Targets: []Target{target.Itself()}, Count: 100, Queued: true,
	})
	require.NoError(t, err)
	result, err := storm.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 100, result.Sent)
	require.NoError(t, target.Stdin.Close())
	exit, err := target.Wait(t.Context())
	require.NoError(t, err)
	require.True(t, exit.Success(), exit.String())
	require.NoError(t, target.Stdout.AwaitEnd(t.Context()))
	const siQueue = -1 // include/uapi/asm-generic/siginfo.h
	lines := target.Stdout.Lines()[1:]
	require.Len(t, lines, 100)
	for i, line := range lines {
		assert.Equal(t, fmt.Sprintf("signal %d code %d value %d pid 0", int(realTime), siQueue, i), line)
	}
}

// TestStormFillsTheQueue: what finds no place is counted, and is no error.
func TestStormFillsTheQueue(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), blockingCommand())
	var limit unix.Rlimit
	require.NoError(t, unix.Prlimit(target.PID, unix.RLIMIT_SIGPENDING, nil, &limit))
	limit.Cur = 10
	require.NoError(t, unix.Prlimit(target.PID, unix.RLIMIT_SIGPENDING, &limit, nil))
	handle, err := pidfd.Open(target.PID)
	require.NoError(t, err)
	defer handle.Close()
	for err == nil {
		err = handle.Queue(40, 0, 0)
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	// Other tests have signals waiting, too, and what they take makes room.
	require.NoError(t, Await(t.Context(), "a full queue", func() (bool, string, error) {
		storm, err := lab.StartStorm(Storm{
			Signals: []syscall.Signal{40}, Targets: []Target{target.Itself()}, Duration: time.Millisecond, Queued: true,
		})
		require.NoError(t, err)
		result, err := storm.Wait(t.Context())
		return result.Overflow > 0 && strings.Contains(result.String(), "found the queue full"), result.String(), err
	}))
}

// TestStormAtOneWhoDoesNotRun: signals that find each other pending are not alone.
func TestStormAtOneWhoDoesNotRun(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), Program("ignoring"))
	storm := func() StormResult {
		running, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []Target{target.Itself()}, Count: 1000})
		require.NoError(t, err)
		result, err := running.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, result.Alone, running.SentAlone())
		return result
	}
	require.NoError(t, target.Freeze(t.Context()))
	frozen := storm()
	assert.Equal(t, 1000, frozen.Sent)
	assert.Equal(t, 1, frozen.Alone)
}

// TestStormInBursts: each burst comes at once, and then there is a pause.
func TestStormInBursts(t *testing.T) {
	t.Parallel()
	lab := New(t)
	target := startReady(t, lab.NewHost("h"), Program("ignoring"))
	const burst, bursts, pause = 50, 4, 50 * time.Millisecond
	storm, err := lab.StartStorm(Storm{
		Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []Target{target.Itself()}, Burst: burst, Pause: pause, Count: burst * bursts,
	})
	require.NoError(t, err)
	require.NoError(t, Await(t.Context(), "the first burst", func() (bool, string, error) {
		n := storm.Sent()
		assert.Zero(t, n%burst, "only whole bursts are seen")
		return n > 0, "", nil
	}))
	result, err := storm.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, burst*bursts, result.Sent)
	assert.GreaterOrEqual(t, result.Duration, (bursts-1)*pause)
}

// BenchmarkStorm compares a storm that is as fast as it can be with kill(2) in
// a loop, at a process that ignores the signal, so that only the sender counts.
func BenchmarkStorm(b *testing.B) {
	lab := New(b)
	target := startReady(b, lab.NewHost("h"), Program("ignoring"))
	b.Run("kill", func(b *testing.B) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for b.Loop() {
			require.NoError(b, unix.Kill(target.PID, unix.SIGUSR1))
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signals/s")
	})
	b.Run("storm", func(b *testing.B) {
		storm, err := lab.StartStorm(Storm{Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []Target{target.Itself()}, Count: b.N})
		require.NoError(b, err)
		result, err := storm.Wait(b.Context())
		require.NoError(b, err)
		require.Equal(b, b.N, result.Sent)
		b.ReportMetric(float64(result.Sent)/result.Duration.Seconds(), "signals/s")
	})
}
