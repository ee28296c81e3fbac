// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"sync"
	"time"
)

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
