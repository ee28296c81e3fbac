// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrRemoved is wrapped where a host is asked about that was removed.
var ErrRemoved = errors.New("the host is not observed any more")

// Host is a network namespace that an [Observer] can look at: the processes in it,
// the zombies whose parent is one of these (a zombie itself has no namespace any
// more), and its sockets. The process of the observer is not among them.
type Host struct {
	namespace uint64

	mu      sync.Mutex // held while its sockets are read
	read    func() (Sockets, error)
	removed bool
	watch   func(Sight) // nil where nobody watches
}

// Sight is what one read of the kernel showed of a host: its processes, its sockets, or the descriptors of
// one process.
type Sight struct {
	// Began and Ended say when it was read: what was seen was true at a moment between them.
	Began, Ended time.Time
	// Processes and Sockets are nil where they were not read; they are not to be changed.
	Processes ProcessInfos
	Sockets   Sockets
	// SawProcesses and SawSockets say whether they were read.
	SawProcesses, SawSockets bool
	// FDs are the open descriptors of the process Of, where these were read; nil otherwise.
	FDs FDs
	Of  ProcessInfo
}

// Watch has f called with what each read sees of the host from now on, by the goroutine that
// reads: it returns soon, and asks the observer nothing. It is not called any more once
// [Observer.Remove] has returned. A second call takes the place of the first one.
func (h *Host) Watch(f func(Sight)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch = f
}

// Tell tells who watches the host what was seen otherwise than by a read of the observer.
func (h *Host) Tell(s Sight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watch != nil && !h.removed {
		h.watch(s)
	}
}

func (h *Host) sockets() (Sockets, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.removed {
		return nil, ErrRemoved
	}
	return h.read()
}

// Query says what a caller wants to know. Nothing else is read for it.
type Query struct {
	// Processes are the hosts whose processes are read.
	Processes []*Host
	// Others asks for the processes that are on no host, too.
	Others bool
	// Sockets are the hosts whose sockets are read.
	Sockets []*Host
}

// Observer looks at the hosts of one sandbox, for everything that waits in it: one for
// each process. It is safe for concurrent use.
//
// A caller gets a [Snapshot] that began after it asked. One read serves every caller
// who asked before it began, and a lone caller is served by a read that begins at
// once. Where many ask, reads are so far apart that they cost a quarter of one
// processor in a second at the most, whatever a read costs on this machine.
type Observer struct {
	source source
	// measure calls work and returns how much processor time it took.
	measure func(work func()) time.Duration
	wake    chan struct{} // of capacity 1: see rouse

	mu       sync.Mutex
	hosts    map[uint64]*Host // by namespace
	requests []*request
	serving  bool // serve runs
	budget   budget
	cost     time.Duration // of a read, as the last ones were
	pace     pace
	crowds   map[*crowd]bool
	guarding bool // guardCrowds runs
}

// source is where an observer reads. Its read is called by one goroutine at a time.
type source interface {
	// read reads the processes whose network namespace wanted says yes to. known says
	// which namespaces are hosts: a process in another one is where its parent is.
	read(now time.Time, wanted, known func(namespace uint64) bool) ([]located, error)
	awake(pid int) (bool, error)
	signals(pid int) (SignalMasks, error)
	fds(pid int) (FDs, error)
	machine() (threads, last int)
	count(root string, most int) (processes, threads int)
}

// located is a process and the network namespace by which it belongs to a host.
type located struct {
	ProcessInfo
	namespace uint64
}

// request is a caller that waits for a snapshot. It takes part in a read that begins
// after from, and one begins at due, if the budget allows it.
type request struct {
	query     Query
	from, due time.Time
	served    chan *Snapshot // of capacity 1
}

func newObserver(source source, measure func(func()) time.Duration) *Observer {
	return &Observer{source: source, measure: measure, wake: make(chan struct{}, 1), hosts: map[uint64]*Host{}, crowds: map[*crowd]bool{}}
}

// Add adds a host, known by the inode of its network namespace. sockets reads its TCP
// sockets; it is not called any more once [Observer.Remove] has returned.
func (o *Observer) Add(namespace uint64, sockets func() (Sockets, error)) *Host {
	h := &Host{namespace: namespace, read: sockets}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hosts[namespace] = h
	return h
}

// Remove removes a host. It returns when none of its sockets is being read.
func (o *Observer) Remove(h *Host) {
	o.mu.Lock()
	if o.hosts[h.namespace] == h {
		delete(o.hosts, h.namespace)
	}
	o.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.removed = true
}

// Look returns a snapshot that began after the call. It returns ctx's error where that
// ends before.
func (o *Observer) Look(ctx context.Context, q Query) (*Snapshot, error) {
	now := time.Now()
	return o.ask(ctx, &request{query: q, from: now, due: now})
}

func (o *Observer) ask(ctx context.Context, r *request) (*Snapshot, error) {
	r.served = make(chan *Snapshot, 1)
	o.mu.Lock()
	o.requests = append(o.requests, r)
	if !o.serving {
		o.serving = true
		go o.serve()
	} else {
		o.rouse()
	}
	o.mu.Unlock()
	select {
	case s := <-r.served:
		return s, s.err
	case <-ctx.Done():
		o.mu.Lock()
		o.requests = slices.DeleteFunc(o.requests, func(other *request) bool { return other == r })
		o.rouse()
		o.mu.Unlock()
		return nil, fmt.Errorf("look at a host: %w", ctx.Err())
	}
}

// rouse tells serve that the requests are others now.
func (o *Observer) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// serve reads until nothing is asked for any more.
func (o *Observer) serve() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		o.mu.Lock()
		if len(o.requests) == 0 {
			o.serving = false
			o.mu.Unlock()
			return
		}
		now := time.Now()
		due := slices.MinFunc(o.requests, func(a, b *request) int { return a.due.Compare(b.due) }).due
		if wait := max(due.Sub(now), o.budget.wait(now, o.cost)); wait > 0 {
			o.mu.Unlock()
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-o.wake:
			}
			continue
		}
		var batch, later []*request
		for _, r := range o.requests {
			if r.from.After(now) {
				later = append(later, r)
			} else {
				batch = append(batch, r)
			}
		}
		o.requests = later
		hosts := make(map[uint64]*Host, len(o.hosts))
		for namespace, h := range o.hosts {
			hosts[namespace] = h
		}
		o.mu.Unlock()

		var s *Snapshot
		cost := o.measure(func() { s = o.read(now, hosts, batch) })
		o.charge(cost, true)
		for _, r := range batch {
			r.served <- s
		}
	}
}

// charge takes the cost of looking from the budget.
func (o *Observer) charge(cost time.Duration, wholeRead bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.budget.spend(now, cost)
	o.pace.spend(now, cost)
	if wholeRead {
		o.cost = (o.cost*3 + cost) / 4
		o.pace.adjust()
	}
}

// read reads what all the requests ask for.
func (o *Observer) read(now time.Time, hosts map[uint64]*Host, batch []*request) *Snapshot {
	s := &Snapshot{observer: o, Began: now, processes: map[*Host]ProcessInfos{}, sockets: map[*Host]socketsRead{}}
	others, any := false, false
	for _, r := range batch {
		others = others || r.query.Others
		any = any || r.query.Others || len(r.query.Processes) > 0
		for _, h := range r.query.Processes {
			s.processes[h] = nil
		}
		for _, h := range r.query.Sockets {
			s.sockets[h] = socketsRead{}
		}
	}
	if any {
		all, err := o.source.read(now, func(namespace uint64) bool {
			if h := hosts[namespace]; h != nil {
				_, asked := s.processes[h]
				return asked
			}
			return others
		}, func(namespace uint64) bool { return hosts[namespace] != nil })
		if err != nil {
			s.err = err
			return s
		}
		s.all = make(ProcessInfos, 0, len(all))
		for _, p := range all {
			s.all = append(s.all, p.ProcessInfo)
			if h := hosts[p.namespace]; h != nil {
				s.processes[h] = append(s.processes[h], p.ProcessInfo)
			}
		}
		ended := time.Now()
		for h, processes := range s.processes {
			h.Tell(Sight{Began: now, Ended: ended, Processes: processes, SawProcesses: true})
		}
	}
	for h := range s.sockets {
		began := time.Now()
		sockets, err := h.sockets()
		s.sockets[h] = socketsRead{sockets, err}
		if err == nil {
			h.Tell(Sight{Began: began, Ended: time.Now(), Sockets: sockets, SawSockets: true})
		}
	}
	return s
}

// Waiter looks again and again for one wait. It is not safe for concurrent use.
type Waiter struct {
	observer *Observer
	query    Query
	pause    time.Duration
	looked   time.Time // when the last look ended
}

// NewWaiter begins a wait.
func (o *Observer) NewWaiter(q Query) *Waiter { return &Waiter{observer: o, query: q} }

// Next returns a snapshot that began after the call: at once the first time, and later
// not before a pause has gone by since the last one. The pauses become longer. A waiter
// takes part in a read that begins in the second half of its pause for another one, so
// that all that wait for long look together.
func (w *Waiter) Next(ctx context.Context) (*Snapshot, error) {
	r := &request{query: w.query, from: w.looked.Add(w.pause / 2), due: w.looked.Add(w.pause)}
	w.observer.mu.Lock()
	pace := w.observer.pace
	w.observer.mu.Unlock()
	// One that comes later than its pause, because its caller has a pause of its own,
	// does not make a read of its own where reads cost much.
	if together := time.Now().Add(pace.longer / 2); w.pause > 0 && r.due.Before(together) {
		r.due = together
	}
	w.pause = min(max(w.pause*3/2, firstPause), pace.pause())
	s, err := w.observer.ask(ctx, r)
	w.looked = time.Now()
	return s, err
}
