// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/rig/observe"
)

// stallDetector tells whether it is still worth waiting for the subject. One look at all
// processes and sockets serves every wait of the check at that moment. Its clock is that
// of [observe.Quiescence]: time in which nothing looked does not count.
type stallDetector struct {
	rest *rig.Rest
	// unanswered says whether a trapped call of the subject waits for the rig, and how many
	// calls have; nil where no call is trapped.
	unanswered func() (waits bool, calls int)

	mu     sync.Mutex
	looked time.Time
	seen   observe.Stillness
	err    error
}

// ErrQuiescent is wrapped where the subject does nothing that could end the wait, ErrBusy
// where it is in a busy loop.
var (
	ErrQuiescent = errors.New("the subject is quiescent")
	ErrBusy      = errors.New("the subject is in a busy loop")
	errDismissed = errors.New("not served until the check ended")
)

// Hopeless says whether a wait ended because the subject is quiescent or in a busy loop, or
// because the longest time of a wait was over.
func Hopeless(err error) bool {
	return errors.Is(err, ErrQuiescent) || errors.Is(err, ErrBusy) || errors.Is(err, rig.ErrNotObserved)
}

// patience is how long one wait for something of the subject lasts at the most, on the detector's
// clock: longer than a client repeats a SYN that a full backlog drops, or than a resolver waits for
// name servers that do not answer. Nearly all waits end before, when the subject is quiescent. A
// machine may be so busy that looks are many times as far apart as that clock counts: seconds, in an
// emulated guest with many checks at a time. There a wait lasts for [rig.Patience] at the most.
func patience() time.Duration { return rig.Scaled(30 * time.Second) }

const (
	// lookInterval is the time between two looks, which cost a millisecond and more each.
	lookInterval = 100 * time.Millisecond
	// restTime is for how long a subject does nothing that waits for clients: longer
	// than the time between two looks.
	restTime = observe.Moment * 3 / 2
	// dozeTime is after how long without a result a subject that sleeps at so many looks, and wakes
	// in between, is at rest.
	dozeTime  = 8 * lookInterval
	dozeLooks = 5
)

// wait is one wait for something of the subject.
type wait struct {
	c         *Case
	began     time.Time
	from      time.Duration // on the detector's clock
	fruitless time.Duration // processor time without a result when the wait began
}

func (c *Case) wait() *wait {
	seen, _ := c.stall.look() // the next look returns the error again
	return &wait{c: c, began: time.Now(), from: seen.Clock, fruitless: seen.Fruitless}
}

// answeredBy sets the session that answers the subject's trapped calls from now on.
func (d *stallDetector) answeredBy(session *inject.Session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unanswered = session.Unanswered
}

// look returns what is known now. It looks where the look before is long enough ago.
func (d *stallDetector) look() (observe.Stillness, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.looked) < lookInterval {
		return d.seen, d.err
	}
	waits, calls := false, 0
	if d.unanswered != nil {
		waits, calls = d.unanswered()
	}
	d.seen, d.err = d.rest.See(waits, calls)
	d.looked = time.Now()
	return d.seen, d.err
}

// now is the time on the detector's clock.
func (d *stallDetector) now() time.Duration {
	seen, _ := d.look() // the next look returns the error again
	return seen.Clock
}

// restsSince says whether nothing has happened for [restTime], all of it after a time on the
// detector's clock.
func (d *stallDetector) restsSince(from time.Duration) (bool, error) {
	seen, err := d.look()
	return seen.Clock-max(seen.Since, from) >= restTime, err
}

// over returns nil while it is worth waiting on.
func (w *wait) over() error {
	w.c.mu.Lock()
	dismissed := w.c.dismissed
	w.c.mu.Unlock()
	if dismissed {
		return errDismissed
	}
	if w.c.Context().Err() != nil {
		return context.Cause(w.c.Context())
	}
	seen, err := w.c.stall.look()
	if err != nil {
		return err
	}
	w.fruitless = min(w.fruitless, seen.Fruitless) // what was fruitless before the wait does not count
	switch settling := w.c.settling(); {
	case seen.Clock-max(seen.Since, w.from) >= settling && !w.c.retransmissionPending():
		return fmt.Errorf("%w: for %v every process of the subject sleeps and no socket changes", ErrQuiescent, settling)
	case seen.Fruitless-w.fruitless >= rig.Scaled(observe.FruitlessLimit):
		return fmt.Errorf("%w: it used %v of processor time without a result", ErrBusy, seen.Fruitless.Round(time.Second))
	case (seen.Clock-w.from >= patience() || time.Since(w.began) >= rig.Patience()) && !w.c.AwaitsDevice():
		return fmt.Errorf("%w within %v", rig.ErrNotObserved, time.Since(w.began).Round(time.Second))
	}
	return nil
}

// AwaitsDevice says whether a process of the subject waits for a device now, or in the kernel
// without a way to interrupt it. On a busy machine that may last for longer than any wait should:
// it is no fault of the subject.
func (c *Case) AwaitsDevice() bool {
	all, err := c.Host.Processes()
	return err == nil && slices.ContainsFunc(all, func(info rig.ProcessInfo) bool { return info.State == rig.DiskSleep })
}

// settling is for how long nothing must have happened for a wait to be given up.
func (c *Case) settling() time.Duration {
	switch {
	case c.Check.Hasty || c.brief.Load():
		return rig.Scaled(rig.Settling) / 8
	case c.probing:
		return rig.Scaled(rig.Settling) / 4
	}
	return rig.Scaled(rig.Settling)
}

// unreadBySubject says whether bytes of the client's connection wait for the subject to read
// them. Where none do, a client's kernel that probes has data that it could never
// send, because it had no route, and will.
func unreadBySubject(here rig.Sockets, client rig.Socket) bool {
	return slices.ContainsFunc(here, func(k rig.Socket) bool {
		return unmapped(k.Local) == unmapped(client.Remote) && unmapped(k.Remote) == unmapped(client.Local) && k.RecvQueue > 0
	})
}

// retransmissionPending says whether a kernel will send something again: that of a client a
// SYN or data that the subject's kernel did not take because its backlog was full, the
// subject's the SYN-ACK of a handshake whose end it dropped for that, or either of them data
// that a busy machine has not delivered yet. A connection that the backlog keeps out for good
// is not meant, nor one that waits for bytes (TCP_DEFER_ACCEPT): its SYN-ACK is not repeated.
func (c *Case) retransmissionPending() bool {
	if c.backlogFull() {
		return false
	}
	here, err := c.Host.Sockets()
	if err == nil && slices.ContainsFunc(here, func(k rig.Socket) bool {
		handshake := k.State == rig.SynReceived || k.State == rig.NewSynReceived
		return k.Timer == rig.TimerRetransmit && k.State != rig.Listening && (k.SendQueue > 0 || handshake && repeatsSYNACK(k))
	}) {
		return true
	}
	for _, host := range c.Clients {
		sockets, err := host.Sockets()
		if err != nil {
			return false
		}
		if slices.ContainsFunc(sockets, func(k rig.Socket) bool {
			return k.Timer == rig.TimerRetransmit || k.Timer == rig.TimerZeroWindowProbe && k.SendQueue > 0 && !unreadBySubject(here, k)
		}) {
			return true
		}
	}
	return false
}

// repeatsSYNACK says whether the kernel goes on to repeat the SYN-ACK of a handshake: it waits for a
// second before the first repetition, and then twice as long each time. Where it waits for bytes it lets
// these times pass and repeats nothing (syn_ack_recalc in the kernel's net/ipv4/inet_connection_sock.c).
func repeatsSYNACK(k rig.Socket) bool {
	return k.Retransmits > 0 && k.TimerLeft <= time.Second<<min(k.Retransmits, 7)
}

// Until waits until seen says yes, or until it is not worth waiting any more, which the
// error says: see [Hopeless]. last is what was seen last.
func (c *Case) Until(what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	w := c.wait()
	err = rig.Await(c.Context(), what, func() (bool, string, error) {
		over := w.over() // before what is looked at, so that what came meanwhile counts
		yes, now, err := seen()
		last = now
		if yes || err != nil {
			return yes, now, err
		}
		return false, now, over
	})
	return last, err
}

// UntilRest is [Case.Until] for what a subject does before it comes to rest, if at all: it does not
// wait much longer.
func (c *Case) UntilRest(what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	until := func() { last, err = c.Until(what, seen) }
	if c.AwaitRest() {
		c.Briefly(until)
	} else {
		until()
	}
	return last, err
}

// Briefly lets the waits within do end when nothing has happened for an eighth of [rig.Settling]:
// for what a subject at rest does not do, and where that is no fault of it.
func (c *Case) Briefly(do func()) {
	c.brief.Store(true)
	defer c.brief.Store(false)
	do()
}

// AwaitRest waits until the subject has come to rest for a moment, as it does when
// it waits for clients, and returns whether it did. One that a timer wakes for nothing, again and
// again, is at rest. On a busy machine it may have to wait for a processor, so the first wait for
// a subject that never rests is long.
func (c *Case) AwaitRest() bool {
	longest := patience() / 6
	if c.neverRests {
		longest = rig.Scaled(rig.Settling)
	}
	rests := c.RestsWithin(longest)
	c.neverRests = c.neverRests || !rests && c.Context().Err() == nil
	return rests
}

// RestsWithin says whether the subject comes to rest, as for [Case.AwaitRest], within so long.
func (c *Case) RestsWithin(longest time.Duration) bool {
	began := time.Now()
	from := c.stall.now()
	var first observe.Stillness
	err := rig.Await(c.Context(), "the subject at rest", func() (bool, string, error) {
		seen, err := c.stall.look()
		if first.Clock == 0 || seen.Result > first.Clock {
			first = seen
		}
		rests := seen.Clock-max(seen.Since, from) >= restTime ||
			seen.Clock-first.Clock >= dozeTime && seen.Asleep-first.Asleep >= dozeLooks
		if err == nil && !rests && time.Since(began) >= longest {
			err = ErrBusy
		}
		return rests, "", err
	})
	return err == nil
}
