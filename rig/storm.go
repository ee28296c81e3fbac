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
)

// Storm describes a flood of signals. Making one sends nothing; see
// [Lab.StartStorm].
//
// A signal that a process neither catches nor is ended by interrupts nothing,
// and one that it catches may be a command to it. Look at [Process.Signals] and
// choose with care; SIGSTOP and SIGCONT in turn need no handler.
type Storm struct {
	// Signals are sent in a random order determined by the lab's seed.
	Signals []syscall.Signal
	// Targets are looked up again every few milliseconds, so that workers that
	// come into being during the storm get their share.
	Targets []Target
	// RatePerSecond is the total rate; 0 means as fast as one thread can.
	RatePerSecond float64
	// Count ends the storm after so many signals; 0 means no such end.
	Count int
	// Duration ends the storm; 0 means that [RunningStorm.Stop] or the lab does.
	Duration time.Duration
}

// StormResult is what a storm did. Whether the signals interrupted anything is
// for the subject to tell; a storm that interrupted nothing proves nothing.
type StormResult struct {
	Sent     int // signals that reached a living process
	Missed   int // signals whose process had just ended
	Idle     int // moments at which no targeted process was alive
	Duration time.Duration
}

func (r StormResult) String() string {
	rate := 0.0
	if r.Duration > 0 {
		rate = float64(r.Sent) / r.Duration.Seconds()
	}
	return fmt.Sprintf("%d signals sent in %v (%.0f/s), %d came too late", r.Sent, r.Duration.Round(time.Millisecond), rate, r.Missed)
}

// RunningStorm is a storm that was started.
type RunningStorm struct {
	lab    *Lab
	storm  Storm
	cancel context.CancelFunc
	done   chan struct{}
	sent   atomic.Int64
	result StormResult // valid once done is closed
	err    error
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
	case !(s.RatePerSecond >= 0 && s.RatePerSecond <= maxStormRate):
		return fmt.Errorf("a storm of %v signals per second: give a rate up to %.0g, or 0 for as fast as possible", s.RatePerSecond, maxStormRate)
	}
	return nil
}

// StartStorm starts a storm that goes on beside the test until its end, the end
// of its last target (unless that may get descendants again), or
// [RunningStorm.Stop].
func (l *Lab) StartStorm(s Storm) (*RunningStorm, error) {
	if err := l.checkOpen("start a storm"); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("start a storm: %w", err)
	}
	handles, err := openTargets(s.Targets)
	if err != nil {
		return nil, fmt.Errorf("start a storm: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if s.Duration > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), s.Duration)
	}
	running := &RunningStorm{lab: l, storm: s, cancel: cancel, done: make(chan struct{})}
	l.Journal.Record("lab", "storm begins: %s", running)
	l.mu.Lock()
	l.storms = append(l.storms, running)
	l.mu.Unlock()
	go running.blow(ctx, handles, l.Rand("storm"))
	return running, nil
}

func (r *RunningStorm) String() string {
	names := make([]string, len(r.storm.Signals))
	for i, s := range r.storm.Signals {
		names[i] = signalName(s)
	}
	targets := make([]string, len(r.storm.Targets))
	for i, t := range r.storm.Targets {
		targets[i] = t.String()
	}
	return strings.Join(names, " ") + " at " + strings.Join(targets, " and at ")
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
func (r *RunningStorm) blow(ctx context.Context, handles []*processHandle, random *rand.Rand) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	fresh := make(chan []*processHandle)
	var lookups sync.WaitGroup
	if r.looksAgain() {
		lookups.Go(func() { r.lookUp(ctx, fresh) })
	}
	defer func() {
		r.cancel()
		lookups.Wait()
		if slices.Contains(r.storm.Signals, syscall.SIGSTOP) {
			for _, handle := range handles {
				_ = handle.signal(syscall.SIGCONT) // an error means that it has ended
			}
		}
		closeHandles(handles)
		r.result.Duration = time.Since(start)
		r.lab.Journal.Record("lab", "storm ended: %v%s", r.result, errorSuffix(r.err))
		close(r.done)
	}()
	for ctx.Err() == nil {
		select {
		case now := <-fresh:
			closeHandles(handles)
			handles = now
		default:
		}
		batch, pause := r.due(time.Since(start))
		if len(handles) == 0 {
			if !r.looksAgain() {
				return
			}
			r.result.Idle++
			batch, pause = 0, time.Millisecond
		}
		for range batch {
			handle := handles[random.IntN(len(handles))]
			err := handle.signal(r.storm.Signals[random.IntN(len(r.storm.Signals))])
			switch {
			case err == nil:
				r.result.Sent++
			case errors.Is(err, os.ErrProcessDone):
				r.result.Missed++
				if !r.looksAgain() && allDead(handles) {
					return
				}
			default:
				r.err = fmt.Errorf("send a signal to process %d: %w", handle.pid, err)
				return
			}
		}
		r.sent.Store(int64(r.result.Sent))
		if r.storm.Count > 0 && r.result.Sent >= r.storm.Count {
			return
		}
		if pause > 0 {
			time.Sleep(pause) // the storm's rate, not a wait for anything
		}
	}
}

// due returns how many signals to send now and how long to pause afterwards.
func (r *RunningStorm) due(elapsed time.Duration) (batch int, pause time.Duration) {
	batch = stormBatch
	if r.storm.RatePerSecond > 0 {
		due := int(elapsed.Seconds()*r.storm.RatePerSecond) + 1 - r.result.Sent - r.result.Missed
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
func allDead(handles []*processHandle) bool {
	return !slices.ContainsFunc(handles, func(h *processHandle) bool {
		dead, err := h.dead()
		return !dead && err == nil
	})
}

func (r *RunningStorm) looksAgain() bool {
	return slices.ContainsFunc(r.storm.Targets, func(t Target) bool { return t.descendants || t.host != nil })
}

// lookUp finds out who the targets are now, again and again.
func (r *RunningStorm) lookUp(ctx context.Context, fresh chan<- []*processHandle) {
	ticker := time.NewTicker(stormLookup)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		handles, err := openTargets(r.storm.Targets)
		if err != nil {
			continue // /proc changes under the look-up; the next one follows
		}
		select {
		case fresh <- handles:
		case <-ctx.Done():
			closeHandles(handles)
			return
		}
	}
}
