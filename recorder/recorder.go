// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"forkrig/rig"
)

// Recorder records one lab while it lives. It is safe for concurrent use. Its lock is taken by what
// the journal and the observer call, under locks of theirs, so that nothing of the rig is called
// under it.
type Recorder struct {
	lab      *rig.Lab
	captures []*capture

	mu         sync.Mutex
	notes      ring[note]
	frames     ring[Frame]
	dropped    map[Kind]int  // the events that the notes and packets would be for which the rings had no room
	whole      time.Duration // from when on no frame was dropped
	packetData []byte        // where the data of the next frames goes
	hosts      []*watched
	interfaces map[interfaceKey]string
	detours    map[[2]string]bool    // the hosts and interfaces to which frames came by a [rig.Detour]
	started    map[int]time.Duration // when the rig started the process of that number
	ended      time.Duration         // when it was told to stop; 0 before
	faults     []string              // what could not be recorded
	complete   map[string]bool       // hosts of which all packets were captured until the end; written by Stop alone
}

// The most that is kept of one lab; what is older is dropped.
const (
	mostNotes  = 20_000
	mostFrames = 8_000
)

// birthStep is a step of the kernel's clock for the birth of processes, and as much again.
const birthStep = 20 * time.Millisecond

// note is something that was seen to happen, before it is made an event. Exactly one of its parts
// is set.
type note struct {
	at      time.Duration
	look    look     // that saw it; nothing where it is an event of the journal
	host    *watched // nil where it is an event of the journal
	journal *rig.Event
	process *processNote
	socket  *socketNote
	hold    *holdKey
	count   *countNote
}

// kind is the kind of the event that a note becomes, "" where it becomes none.
func (n note) kind() Kind {
	switch {
	case n.journal != nil:
		return cmp.Or(Kind(n.journal.Kind), Note)
	case n.process == nil && n.socket == nil, n.socket != nil && n.socket.taken:
		return ""
	case n.socket != nil:
		return Socket
	case n.process.isNew:
		return Start
	case n.process.gone || n.process.State == rig.Zombie:
		return Exit
	}
	return Stop
}

// add adds a note.
func (r *Recorder) add(n note) {
	if oldest, full := r.notes.add(n); full && oldest.kind() != "" {
		r.dropped[oldest.kind()]++
	}
}

// Record records a lab from now on, until [Recorder.Stop], with the hosts that it has now. Where
// packets cannot be captured, the recording says so.
func Record(lab *rig.Lab) *Recorder {
	r := &Recorder{lab: lab, notes: ring[note]{most: mostNotes}, frames: ring[Frame]{most: mostFrames}, interfaces: map[interfaceKey]string{},
		detours: map[[2]string]bool{}, dropped: map[Kind]int{}, started: map[int]time.Duration{}}
	for _, host := range lab.Hosts() {
		w := newWatched(host)
		r.hosts = append(r.hosts, w)
		c, err := startCapture(host, func(p captured) { r.enterFrame(host, p) })
		if err != nil {
			r.faults = append(r.faults, err.Error())
		} else {
			r.captures = append(r.captures, c)
		}
		host.Watch(func(s rig.Sight) { r.enterSight(w, s) })
	}
	lab.Journal.Watch(r.enterEvent)
	return r
}

// enterEvent enters an event of the journal.
func (r *Recorder) enterEvent(e rig.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended > 0 {
		return
	}
	if e.Kind == rig.EventStart {
		r.started[e.PID] = e.At
	}
	if e.Began > 0 && e.Kind != rig.EventWait && !e.Ends { // what came of it may be older than the event
		e.At = e.Began
	}
	r.add(note{at: e.At, journal: &e})
}

// enterSight enters what is new in what was seen of a host.
func (r *Recorder) enterSight(w *watched, s rig.Sight) {
	of := look{s.Began.Sub(r.lab.Journal.Began()), s.Ended.Sub(r.lab.Journal.Began())}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended > 0 {
		return
	}
	if s.SawProcesses {
		w.seeProcesses(s.Processes, of, func(n processNote) {
			noted := note{at: of.ended, look: of, host: w, process: &n}
			if started, known := r.started[n.PID]; n.isNew && (!known || n.born > started+birthStep) {
				noted.at = n.born // otherwise the journal said so
			}
			r.add(noted)
		})
	}
	if s.FDs != nil {
		w.seeDescriptors(s.Of, s.FDs, func(n holdKey) { r.add(note{at: of.ended, look: of, host: w, hold: &n}) },
			func(n countNote) { r.add(note{at: of.ended, look: of, host: w, count: &n}) })
	}
	if s.SawSockets {
		w.seeSockets(s.Sockets, of, func(n socketNote) { r.add(note{at: of.ended, look: of, host: w, socket: &n}) })
	}
}

// interfaceKey is an interface of a host.
type interfaceKey struct {
	host  string
	index int
}

// enterFrame enters a packet.
func (r *Recorder) enterFrame(host *rig.Host, p captured) {
	at := p.at.Sub(r.lab.Journal.Began())
	key := interfaceKey{host.Name, p.index}
	r.mu.Lock()
	name, known := r.interfaces[key]
	if !known { // the lab is asked without the lock: it may hold its own while it records an event
		r.mu.Unlock()
		name = interfaceName(host, p.index)
		r.mu.Lock()
		r.interfaces[key] = name
	}
	defer r.mu.Unlock()
	if r.ended > 0 && at > r.ended {
		return // the other end of its link may not be captured any more
	}
	if p.detour {
		r.detours[[2]string{host.Name, name}] = true
		return
	}
	if len(p.data) > cap(r.packetData)-len(r.packetData) {
		r.packetData = make([]byte, 0, 1<<16)
	}
	start := len(r.packetData)
	r.packetData = append(r.packetData, p.data...)
	oldest, full := r.frames.add(Frame{At: at, stamp: p.stamp, Host: host.Name, Interface: name, Sent: p.sent, Length: p.length, Data: r.packetData[start:len(r.packetData):len(r.packetData)]})
	if full {
		r.whole = max(r.whole, oldest.At+1)
		if oldest.Sent { // the other end saw the same packet
			r.dropped[Segment]++
		}
	}
}

// loopbackIndex is the number of the loopback, which each network namespace has first.
const loopbackIndex = 1

func interfaceName(host *rig.Host, index int) string {
	if index == loopbackIndex {
		return "lo"
	}
	for _, i := range host.Interfaces() {
		if i.Index == index {
			return i.Name
		}
	}
	return fmt.Sprintf("interface %d", index)
}

// Stop ends the recording and lets go of the lab, which may have ended already. What happens after it
// was called is not recorded. A second call does nothing.
func (r *Recorder) Stop() {
	r.mu.Lock()
	if r.ended == 0 {
		r.ended = max(time.Since(r.lab.Journal.Began()), 1)
	}
	captures := r.captures
	r.captures = nil
	r.mu.Unlock()
	if captures == nil {
		return
	}
	var wait sync.WaitGroup
	errs := make([]error, len(captures))
	for i, c := range captures {
		wait.Go(func() { errs[i] = c.stop() })
	}
	wait.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complete = map[string]bool{}
	for i, c := range captures {
		r.complete[c.host.Name] = c.dropped == 0 && errs[i] == nil
		if c.dropped > 0 {
			r.faults = append(r.faults, fmt.Sprintf("%d packets of %s were not captured: there were too many at once", c.dropped, c.host))
		}
	}
	if err := errors.Join(errs...); err != nil {
		r.faults = append(r.faults, err.Error())
	}
}
