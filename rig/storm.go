// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/observe"
)

// Storm describes a flood of signals. Making one sends nothing; see
// [Lab.StartStorm].
//
// A signal that a process neither catches nor is ended by interrupts nothing,
// and one that it catches may be a command to it. Look at [Process.Signals] and
// choose with care; SIGSTOP and SIGCONT in turn need no handler. A flood of a signal that
// ends a program written in Go may end it by SIGSEGV: before it ends itself its handler
// unblocks the signal, and the signal stack overflows (dieFromSignal in package runtime).
type Storm struct {
	// Signals are sent in a random order determined by the lab's seed.
	Signals []syscall.Signal
	// Targets are looked up again every few milliseconds, so that workers that
	// come into being during the storm get their share.
	Targets []Target
	// RatePerSecond is the total rate; 0 means as fast as one thread can.
	RatePerSecond float64
	// Burst, in place of a rate, sends so many signals as fast as one thread can and
	// then pauses for Pause, again and again; 0 means no bursts. All signals of a
	// burst have the same target, and signals of one kind that find each other
	// pending merge, unless they are real-time signals (signal(7)).
	Burst int
	Pause time.Duration
	// Threads directs each signal to one thread, chosen at random among those of its
	// process (tgkill(2)), of which any that does not block it would take it
	// otherwise.
	Threads bool
	// Queued sends data along (rt_sigqueueinfo(2)): a handler that wants it
	// (SA_SIGINFO) finds SI_QUEUE as si_code, the number of the storm's signal,
	// counted from 0, as the int in si_value, and a si_pid of 0, as of a sender
	// outside its PID namespace. Real-time signals, from 34 on, queue up to
	// RLIMIT_SIGPENDING of the target's user; others merge as ever.
	Queued bool
	// Count ends the storm after so many signals; 0 means no such end.
	Count int
	// Duration ends the storm; 0 means that [RunningStorm.Stop] or the lab does.
	Duration time.Duration
}

// StormResult is what a storm did. Whether the signals interrupted anything is
// for the subject to tell; a storm that interrupted nothing proves nothing.
type StormResult struct {
	Sent int // signals that reached a living process
	// Alone counts those of Sent before which their process had run since the one before,
	// and had a chance to take that: others find each other pending, and those of one
	// kind merge. On a busy machine most do.
	Alone    int
	Missed   int // signals whose process had just ended
	Idle     int // moments at which no targeted process was alive
	Overflow int // real-time signals that found the queue of their target's user full
	Duration time.Duration
}

func (r StormResult) String() string {
	rate := 0.0
	if r.Duration > 0 {
		rate = float64(r.Sent) / r.Duration.Seconds()
	}
	text := fmt.Sprintf("%d signals sent in %v (%.0f/s), %d came too late", r.Sent, r.Duration.Round(time.Millisecond), rate, r.Missed)
	if r.Overflow > 0 {
		text += fmt.Sprintf(", %d found the queue full", r.Overflow)
	}
	return text
}

// RunningStorm is a storm that was started.
type RunningStorm struct {
	lab    *Lab
	storm  Storm
	cancel context.CancelFunc
	done   chan struct{}
	// recordEnd records how it ended.
	recordEnd func(format string, args ...any)
	sent      atomic.Int64
	alone     atomic.Int64
	result    StormResult // valid once done is closed
	err       error
}

func (s Storm) check() error {
	switch {
	case len(s.Signals) == 0:
		return errors.New("the storm has no signals: name at least one")
	case len(s.Targets) == 0:
		return errors.New("the storm has no targets: use Itself, Workers or Family of a process, or Matching of a host")
	case slices.Contains(s.Signals, syscall.SIGKILL):
		return errors.New("SIGKILL in a storm ends its target at once: use KillTogether")
	case slices.ContainsFunc(s.Signals, func(n syscall.Signal) bool { return n < 1 || n > maxSignal }):
		return fmt.Errorf("a storm of signals %v: their numbers go from 1 to %d", s.Signals, maxSignal)
	case s.Count < 0 || s.Duration < 0:
		return errors.New("the count and duration of a storm cannot be negative")
	case s.Burst < 0 || s.Pause < 0:
		return errors.New("the burst and pause of a storm cannot be negative")
	case s.Burst > 0 && s.Pause == 0:
		return fmt.Errorf("a storm of bursts of %d without a pause has no bursts: give Pause, too, or leave Burst out", s.Burst)
	case s.Burst == 0 && s.Pause > 0:
		return fmt.Errorf("a storm with a pause of %v and no bursts: give Burst, too, or a RatePerSecond instead", s.Pause)
	case s.Burst > 0 && s.RatePerSecond != 0:
		return errors.New("a storm has bursts or a rate, not both: leave RatePerSecond or Burst and Pause out")
	case s.Threads && slices.ContainsFunc(s.Signals, stopsAll):
		return errors.New("SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU and SIGCONT act on a whole process, even if they are sent to one thread: leave out Threads or these signals")
	case s.Queued && slices.Contains(s.Signals, syscall.SIGSTOP):
		return errors.New("the data of SIGSTOP reaches no handler, since it cannot be caught: leave out Queued or SIGSTOP")
	case !(s.RatePerSecond >= 0 && s.RatePerSecond <= maxStormRate):
		return fmt.Errorf("a storm of %v signals per second: give a rate up to %.0g, or 0 for as fast as possible", s.RatePerSecond, maxStormRate)
	}
	return nil
}

// stopsAll says whether the signal stops or continues a process.
func stopsAll(s syscall.Signal) bool {
	switch s {
	case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCONT:
		return true
	}
	return false
}

// StartStorm starts a storm that goes on beside the test until its end, the end
// of its last target (unless that may get descendants again), or
// [RunningStorm.Stop].
func (l *Lab) StartStorm(s Storm) (*RunningStorm, error) {
	if err := l.checkTargets("start a storm", s.Targets); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("start a storm: %w", err)
	}
	handles, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("start a storm: %w", err)
	}
	ctx, cancel := s.context()
	running := &RunningStorm{lab: l, storm: s, cancel: cancel, done: make(chan struct{})}
	if err := l.addStorm(running); err != nil {
		cancel()
		pidfd.CloseAll(handles)
		return nil, fmt.Errorf("start a storm: %w", err)
	}
	l.noteSent(s.Signals...)
	var about []*Host
	for _, target := range s.Targets {
		about = append(about, target.Host())
	}
	running.recordEnd = l.Journal.Begin(time.Now(), EventStorm, "lab", about, "storm begins: %s", running)
	go running.blow(ctx, handles, l.Rand("storm"))
	return running, nil
}

// context ends with the storm's duration, where it has one.
func (s Storm) context() (context.Context, context.CancelFunc) {
	if s.Duration > 0 {
		return context.WithTimeout(context.Background(), s.Duration)
	}
	return context.WithCancel(context.Background())
}

// addStorm has the lab stop the storm at its end. It is an error where the lab has
// ended while the targets were looked up: nothing would stop the storm any more.
func (l *Lab) addStorm(running *RunningStorm) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("%w: it ended meanwhile", ErrClosed)
	}
	l.storms = append(l.storms, running)
	return nil
}

func (r *RunningStorm) String() string { return r.storm.String() }

// String names the signals, how they are sent, and the targets.
func (s Storm) String() string {
	words := make([]string, len(s.Signals))
	for i, signal := range s.Signals {
		words[i] = SignalName(signal)
	}
	text := strings.Join(words, " ")
	if s.Queued {
		text += " with data"
	}
	if s.Burst > 0 {
		text += fmt.Sprintf(" in bursts of %d every %v", s.Burst, s.Pause)
	}
	if s.RatePerSecond > 0 {
		text += fmt.Sprintf(" at %g a second", s.RatePerSecond)
	}
	text += " at "
	if s.Threads {
		text += "single threads of "
	}
	targets := make([]string, len(s.Targets))
	for i, t := range s.Targets {
		targets[i] = t.String()
	}
	return text + strings.Join(targets, " and ")
}

// Stop ends the storm and says what it did. A target that the storm left
// stopped by SIGSTOP is continued. Stopping twice returns the same.
func (r *RunningStorm) Stop() (StormResult, error) {
	r.cancel()
	<-r.done
	return r.result, r.err
}

// Sent returns how many signals have reached a living process so far.
func (r *RunningStorm) Sent() int { return int(r.sent.Load()) }

// SentAlone returns how many of them count as Alone in the [StormResult].
func (r *RunningStorm) SentAlone() int { return int(r.alone.Load()) }

// Done is closed when the storm has ended, by whatever cause.
func (r *RunningStorm) Done() <-chan struct{} { return r.done }

// Wait waits until the storm ends by its count or duration.
func (r *RunningStorm) Wait(ctx context.Context) (StormResult, error) {
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return StormResult{}, fmt.Errorf("await the end of the storm %v, %d signals sent so far: %w", r, r.Sent(), ctx.Err())
	}
}

// maxStormRate is beyond what any thread can send.
const maxStormRate = 1e9

const (
	stormLookup = 10 * time.Millisecond // between two looks at who the targets are
	stormBatch  = 32                    // signals between two looks at the clock
)

// blow sends the signals. It keeps its thread: a storm that waits for a thread
// at each signal is slower than kill(2) in a loop.
func (r *RunningStorm) blow(ctx context.Context, handles []*pidfd.Process, random *rand.Rand) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	ran := map[int]time.Duration{} // by each process at the last signal
	fresh := make(chan []*pidfd.Process)
	var lookups sync.WaitGroup
	if r.looksAgain() {
		lookups.Go(func() { r.lookUp(ctx, fresh) })
	}
	defer func() {
		r.cancel()
		lookups.Wait()
		if slices.Contains(r.storm.Signals, syscall.SIGSTOP) {
			for _, handle := range handles {
				_ = handle.Signal(syscall.SIGCONT) // an error means that it has ended
			}
		}
		pidfd.CloseAll(handles)
		r.result.Duration = time.Since(start)
		r.recordEnd("storm ended: %v%s", r.result, errorSuffix(r.err))
		close(r.done)
	}()
	for first := true; first || ctx.Err() == nil; first = false { // however short, it sends something
		select {
		case now := <-fresh:
			pidfd.CloseAll(handles)
			handles = now
		default:
		}
		batch, pause := r.due(time.Since(start))
		if len(handles) == 0 {
			if !r.getsNewTargets() {
				return
			}
			r.result.Idle++
			batch, pause = 0, time.Millisecond
		}
		var handle *pidfd.Process
		for i := range batch {
			if i == 0 || r.storm.Burst == 0 {
				handle = handles[random.IntN(len(handles))]
			}
			now, _ := handle.Ran() // an error means that it has ended, and the signal tells
			err := r.send(handle, r.storm.Signals[random.IntN(len(r.storm.Signals))], random)
			switch {
			case err == nil:
				r.result.Sent++
				if ran[handle.PID] != now {
					ran[handle.PID] = now
					r.result.Alone++
				}
			case errors.Is(err, os.ErrProcessDone):
				r.result.Missed++
				if !r.getsNewTargets() && allDead(handles) {
					return
				}
			case errors.Is(err, syscall.EAGAIN):
				r.result.Overflow++
			default:
				r.err = fmt.Errorf("send a signal to process %d: %w", handle.PID, err)
				return
			}
		}
		r.sent.Store(int64(r.result.Sent))
		r.alone.Store(int64(r.result.Alone))
		if r.storm.Count > 0 && r.result.Sent >= r.storm.Count {
			return
		}
		if pause > 0 {
			select { // the storm's rate, not a wait for anything
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

// send sends one signal. The error is os.ErrProcessDone where the process or the
// thread has ended, and EAGAIN where the queue is full.
func (r *RunningStorm) send(handle *pidfd.Process, s syscall.Signal, random *rand.Rand) error {
	thread := 0
	if r.storm.Threads {
		if len(handle.Threads) == 0 {
			return os.ErrProcessDone
		}
		thread = handle.Threads[random.IntN(len(handle.Threads))]
	}
	switch {
	case r.storm.Queued:
		return handle.Queue(s, thread, int32(r.result.Sent))
	case thread != 0:
		return handle.SignalThread(s, thread)
	}
	return handle.Signal(s)
}

// due returns how many signals to send now and how long to pause afterwards.
func (r *RunningStorm) due(elapsed time.Duration) (batch int, pause time.Duration) {
	batch = stormBatch
	if r.storm.Burst > 0 {
		batch, pause = r.storm.Burst, r.storm.Pause
	}
	if r.storm.RatePerSecond > 0 {
		due := int(elapsed.Seconds()*r.storm.RatePerSecond) + 1 - r.result.Sent - r.result.Missed - r.result.Overflow
		batch = max(0, min(batch, due))
		if due <= stormBatch {
			pause = max(time.Duration(float64(time.Second)/r.storm.RatePerSecond), 50*time.Microsecond)
			pause = min(pause, 10*time.Millisecond)
		}
	}
	if r.storm.Count > 0 {
		batch = min(batch, r.storm.Count-r.result.Sent)
	}
	return batch, pause
}

// allDead says whether every process has ended.
func allDead(handles []*pidfd.Process) bool {
	return !slices.ContainsFunc(handles, func(h *pidfd.Process) bool {
		dead, err := h.Dead()
		return !dead && err == nil
	})
}

// getsNewTargets says whether a process that is started during the storm is
// among its targets.
func (r *RunningStorm) getsNewTargets() bool {
	return slices.ContainsFunc(r.storm.Targets, func(t Target) bool { return t.descendants || t.host != nil })
}

// looksAgain says whether the targets, or their threads, change.
func (r *RunningStorm) looksAgain() bool { return r.storm.Threads || r.getsNewTargets() }

// open opens the targets, with their threads where the storm is meant for these.
func (s Storm) open() ([]*pidfd.Process, error) {
	handles, err := openTargets(s.Targets)
	if err != nil || !s.Threads {
		return handles, err
	}
	for _, handle := range handles {
		if handle.Threads, err = observe.ListThreads(handle.PID); err != nil && !observe.IsGone(err) {
			pidfd.CloseAll(handles)
			return nil, err
		}
	}
	return handles, nil
}

// lookUp finds out who the targets are now, again and again.
func (r *RunningStorm) lookUp(ctx context.Context, fresh chan<- []*pidfd.Process) {
	ticker := time.NewTicker(stormLookup)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		handles, err := r.storm.open()
		if err != nil {
			continue // /proc changes under the look-up; the next one follows
		}
		select {
		case fresh <- handles:
		case <-ctx.Done():
			pidfd.CloseAll(handles)
			return
		}
	}
}
