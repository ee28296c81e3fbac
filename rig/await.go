// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"forkrig/rig/internal/machine"
	"forkrig/rig/observe"
)

// patience is how long a lab waits for an observation that a healthy machine
// makes in milliseconds. It bounds how long a failure takes, and must not decide
// whether a correct subject passes on a slow machine, so it is generous.
const patience = 60 * time.Second

// Patience returns how long the Await functions wait at the most, for a
// caller that chooses a deadline of its own: 60 s, scaled as by [Scaled].
func Patience() time.Duration { return scaled(patience) }

// Settling is how long a subject may take to come to rest after its last
// client has left, before what remains counts as lasting: see [Process.AwaitReaped].
const Settling = observe.Settling

// TimeScaleEnv is the environment variable with a factor, at least 1, by which
// every deadline of the rig is longer still than what the rig chose for the machine.
const TimeScaleEnv = "FORKRIG_TIME_SCALE"

// here is the machine under the tests. Set before the first test runs.
var here machine.Speed

// aboutDeadlines says by how much deadlines are longer, and why.
func aboutDeadlines() string {
	factor, _ := timeScale() // a wrong one ended Main
	return fmt.Sprintf("deadlines are %.1f times those of an idle machine: %v", factor, here)
}

// timeScale is by how much every deadline is longer than on an idle machine: what
// was measured when the tests began, times [TimeScaleEnv].
func timeScale() (float64, error) {
	asked, err := parseTimeScale(os.Getenv(TimeScaleEnv))
	return asked * here.Factor(), err
}

func parseTimeScale(text string) (float64, error) {
	if text == "" {
		return 1, nil
	}
	factor, err := strconv.ParseFloat(text, 64)
	if err != nil || !(factor >= 1 && factor <= 1000) {
		return 1, fmt.Errorf("%s=%q is not a factor: give a number from 1 to 1000", TimeScaleEnv, text)
	}
	return factor, nil
}

// Scaled returns a time that was chosen on an idle machine as it is for this
// one: times a factor from 1 to 20 that [Main] measured when the tests began, and
// times FORKRIG_TIME_SCALE. The factor tells a slow machine, by how long a
// few dozen switches between two threads and a fixed computation take, and one
// that was busy then, by its load. It knows nothing of what comes later, nor how much
// slower the race detector makes a program.
func Scaled(d time.Duration) time.Duration { return scaled(d) }

// scaled returns d for this machine. A wrong factor ends Main before any test.
func scaled(d time.Duration) time.Duration {
	factor, _ := timeScale()
	return time.Duration(float64(d) * factor)
}

// ErrNotObserved is what an Await method wraps when the deadline passes.
var ErrNotObserved = errors.New("not observed")

// Await looks again and again until look reports that the thing was seen, and
// returns its last error otherwise. It gives up when ctx ends or, whatever ctx
// says, after [Patience]; after a deadline it looks once more, because on a busy
// machine the look before may be long ago. what says in a few words what is
// awaited; look returns a description of what it saw last. An error of look ends
// the wait at once.
func Await(ctx context.Context, what string, look func() (seen bool, last string, err error)) error {
	const (
		shortest, longest = 200 * time.Microsecond, 20 * time.Millisecond
		// A look that costs much is not made all the time. What it cost on a busy
		// machine may have been waiting for a processor.
		longestAfterDear = 500 * time.Millisecond
	)
	pause, cost := shortest, time.Duration(0)
	return await(ctx, what, func(ctx context.Context) error {
		timer := time.NewTimer(max(pause, min(3*cost, longestAfterDear)))
		defer timer.Stop()
		pause = min(pause*3/2, longest)
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(bool) (bool, fmt.Stringer, error) {
		began := time.Now()
		seen, last, err := look()
		cost = time.Since(began)
		return seen, said(last), err
	})
}

// await is [Await] with its way of waiting: pause returns when it is time to look
// again, or with ctx's error where that ends before. look is told whether that is
// over, and then looks for the last time.
func await(ctx context.Context, what string, pause func(context.Context) error,
	look func(over bool) (seen bool, last fmt.Stringer, err error)) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, scaled(patience))
	defer cancel()
	saw, end := beginWait(ctx, what)
	defer end()
	for over := false; ; {
		seen, last, err := look(over)
		if err != nil {
			return fmt.Errorf("await %s: %w", what, err)
		}
		if seen {
			return nil
		}
		saw(last)
		if !over {
			err = pause(ctx)
		}
		switch {
		case over, errors.Is(err, context.Canceled): // then nothing waits any more
			text := "nothing"
			if last != nil && last.String() != "" {
				text = last.String()
			}
			return fmt.Errorf("await %s: %w within %v; last seen: %s",
				what, ErrNotObserved, time.Since(start).Round(time.Millisecond), text)
		case errors.Is(err, context.DeadlineExceeded):
			over = true
		case err != nil:
			return fmt.Errorf("await %s: %w", what, err)
		}
	}
}

// Waits says what the Await functions under a context wait for, so that the code that ends
// them can report what they waited for last. Its zero value is ready for use. It is
// safe for concurrent use.
type Waits struct {
	mu     sync.Mutex
	number int
	open   map[int]*Waiting
	last   Waiting
}

// Waiting is one wait for an observation.
type Waiting struct {
	What  string // what is awaited, in a few words
	Seen  string // what was seen last
	Since time.Time
}

type waitsKey struct{}

// WithWaits returns a context under which [Await] notes its waits in w.
func WithWaits(ctx context.Context, w *Waits) context.Context {
	return context.WithValue(ctx, waitsKey{}, w)
}

// Latest returns the wait that began last among those that have not ended, or the one
// that ended last where all have. The zero value means that there was none.
func (w *Waits) Latest() Waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	latest := w.last
	newest := -1
	for number, open := range w.open {
		if number > newest {
			newest, latest = number, *open
		}
	}
	return latest
}

// beginWait notes a wait under the context. It returns a function that notes what is seen,
// and one that ends the wait.
func beginWait(ctx context.Context, what string) (saw func(fmt.Stringer), end func()) {
	w, _ := ctx.Value(waitsKey{}).(*Waits)
	if w == nil {
		return func(fmt.Stringer) {}, func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[int]*Waiting{}
	}
	number := w.number
	w.number++
	w.open[number] = &Waiting{What: what, Since: time.Now()}
	saw = func(last fmt.Stringer) {
		seen := ""
		if last != nil {
			seen = last.String()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open[number].Seen = seen
	}
	end = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.last = *w.open[number]
		delete(w.open, number)
	}
	return saw, end
}
