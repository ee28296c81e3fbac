// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Event is one line of a journal.
type Event struct {
	At   time.Duration // since the lab was made, on the monotonic clock
	Who  string        // a host, "host/process", or "lab"
	What string
}

func (e Event) String() string {
	return fmt.Sprintf("%10.3fms  %-18s %s", float64(e.At.Microseconds())/1000, e.Who, e.What)
}

// Journal is the time-ordered record of what the rig did and saw in one lab. It
// keeps the last 2,000 events. It is safe for concurrent use.
type Journal struct {
	start time.Time

	mu      sync.Mutex
	events  []Event // a ring once it is full
	next    int     // where the ring goes on
	dropped int
	follow  func(Event) // nil where there is none
}

const journalSize = 2000

func newJournal() *Journal { return &Journal{start: time.Now()} }

// Record adds an event. A scenario may record what it does itself.
func (j *Journal) Record(who, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	// The time is taken under the lock, so that the order is that of time.
	event := Event{At: time.Since(j.start), Who: who, What: fmt.Sprintf(format, args...)}
	if j.follow != nil {
		j.follow(event)
	}
	if len(j.events) < journalSize {
		j.events = append(j.events, event)
		return
	}
	j.events[j.next] = event
	j.next = (j.next + 1) % journalSize
	j.dropped++
}

// Follow has f called with each event from now on, in their order. f must return soon
// and must not use the journal. A second call takes the place of the first one.
func (j *Journal) Follow(f func(Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follow = f
}

// Events returns a copy of the events, oldest first.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append(append([]Event(nil), j.events[j.next:]...), j.events[:j.next]...)
}

// count is how many events there were so far.
func (j *Journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.events) + j.dropped
}

// Tail returns the last n events as text, one a line.
func (j *Journal) Tail(n int) string {
	events := j.Events()
	j.mu.Lock()
	omitted := j.dropped
	j.mu.Unlock()
	if len(events) > n {
		omitted += len(events) - n
		events = events[len(events)-n:]
	}
	var b strings.Builder
	if omitted > 0 {
		fmt.Fprintf(&b, "(%d earlier events left out)\n", omitted)
	}
	for _, e := range events {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.String()
}
