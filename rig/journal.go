// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Event is one line of a journal.
type Event struct {
	At   time.Duration // since the lab was made, on the monotonic clock
	Who  string        // a host, "host/process", or "lab"
	What string
	Kind EventKind
	// Span is the number of what this event begins or ends, such as a fault and its healing; 0
	// where it does neither.
	Span int
	// Hosts are the names of the hosts that what it begins or ends is about.
	Hosts []string
	// Began is when that began which this event is about: a wait, a fault (also in the event of its healing), or
	// the start of a process. The event comes afterwards. It is 0 for others.
	Began time.Duration
	// Ends says that the event ends the span, and does not begin it.
	Ends bool
	// Error is how a wait failed; "" where it did not.
	Error string
	// PID is the process that the event is about; 0 where it is about none, or about several.
	PID int
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventNote    EventKind = ""        // something that the rig did or saw
	EventStart   EventKind = "start"   // a process was started
	EventExit    EventKind = "exit"    // it ended
	EventSignal  EventKind = "signal"  // signals were sent
	EventFault   EventKind = "fault"   // a fault began, or was healed
	EventStorm   EventKind = "storm"   // a storm began, or ended
	EventWait    EventKind = "wait"    // a wait ended
	EventCall    EventKind = "call"    // a system call was answered by a rule
	EventOutput  EventKind = "output"  // a process wrote a line
	EventVerdict EventKind = "verdict" // a check gave its verdict
)

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
	spans   int
	follow  []func(Event)
	watch   []func(Event)
	watched atomic.Bool // watch is not empty
}

const journalSize = 2000

func newJournal() *Journal { return &Journal{start: time.Now()} }

// Began returns when the lab was made.
func (j *Journal) Began() time.Time { return j.start }

// Record adds an event. A scenario may record what it does itself.
func (j *Journal) Record(who, format string, args ...any) {
	j.RecordAs(EventNote, who, format, args...)
}

// RecordAs adds an event of a kind.
func (j *Journal) RecordAs(kind EventKind, who, format string, args ...any) {
	j.add(Event{Who: who, Kind: kind, What: fmt.Sprintf(format, args...)})
}

// RecordSince adds an event of a kind, of which the first effect may be as old as a moment before.
func (j *Journal) RecordSince(since time.Time, kind EventKind, who, format string, args ...any) {
	j.add(Event{Who: who, Kind: kind, What: fmt.Sprintf(format, args...), Began: j.at(since)})
}

// Begin adds the first event of something that lasts since a moment before, and that is about these hosts;
// none where it is about the whole lab. end adds the last one.
func (j *Journal) Begin(since time.Time, kind EventKind, who string, about []*Host, format string, args ...any) (end func(format string, args ...any)) {
	began := j.add(Event{Who: who, Kind: kind, What: fmt.Sprintf(format, args...), Span: newSpan, Hosts: hostNames(about), Began: j.at(since)})
	return func(format string, args ...any) {
		j.add(Event{Who: who, Kind: kind, What: fmt.Sprintf(format, args...), Span: began.Span, Hosts: began.Hosts, Began: began.Began, Ends: true})
	}
}

// hostNames are the names of the hosts, each once.
func hostNames(hosts []*Host) []string {
	var names []string
	for _, host := range hosts {
		if host != nil && !slices.Contains(names, host.Name) {
			names = append(names, host.Name)
		}
	}
	return names
}

// newSpan asks add for the number of a new span.
const newSpan = -1

// waited adds the end of a wait that began then; err says how it failed.
func (j *Journal) waited(began time.Time, who string, err error, format string, args ...any) {
	event := Event{Who: who, Kind: EventWait, What: "awaited " + fmt.Sprintf(format, args...) + errorSuffix(err), Began: j.at(began)}
	if err != nil {
		event.Error = err.Error()
	}
	j.add(event)
}

// at is the time of a moment that an event tells of, which is not 0.
func (j *Journal) at(moment time.Time) time.Duration { return max(moment.Sub(j.start), 1) }

// add adds an event, and returns it with its time and its number.
func (j *Journal) add(event Event) Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	// The time is taken under the lock, so that the order is that of time.
	event.At = time.Since(j.start)
	if event.Span == newSpan {
		j.spans++
		event.Span = j.spans
	}
	for _, f := range j.follow {
		f(event)
	}
	j.tell(event)
	if len(j.events) < journalSize {
		j.events = append(j.events, event)
		return event
	}
	j.events[j.next] = event
	j.next = (j.next + 1) % journalSize
	j.dropped++
	return event
}

// Follow has f called with each event from now on, in their order. f must return soon
// and must not use the journal.
func (j *Journal) Follow(f func(Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.follow = append(j.follow, f)
}

// Watch is [Journal.Follow] that has f called with the details, too: each line that a process
// writes, and each system call that a rule answers. The journal does not keep them.
func (j *Journal) Watch(f func(Event)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watch = append(j.watch, f)
	j.watched.Store(true)
}

// Detail tells those that watch the journal an event, which it does not keep. It costs next to
// nothing where nobody watches.
func (j *Journal) Detail(event Event) {
	if !j.watched.Load() {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	event.At = time.Since(j.start)
	j.tell(event)
}

// tell tells those that watch the journal. The caller holds the lock.
func (j *Journal) tell(event Event) {
	for _, f := range j.watch {
		f(event)
	}
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
