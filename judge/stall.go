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
)

// stallDetector tells whether it is still worth waiting for the subject. One look at all
// processes and sockets serves all waits of that moment.
//
// It has a clock of its own, on which a look is never more than a moment after the
// one before. On a busy machine the tests themselves may wait for a processor for
// seconds, and the subject for them: time without a look does not count.
type stallDetector struct {
	rest *rig.Rest
	// unanswered says whether a trapped call of the subject waits for the rig, and how many
	// calls have; nil where no call is trapped.
	unanswered func() (waits bool, calls int)

	mu           sync.Mutex
	looked       time.Time
	now          time.Duration // on the clock
	still        time.Duration // since when nothing has happened, on the clock
	calls        int
	unproductive time.Duration // processor time without a result
	err          error
}

// ErrQuiescent is wrapped where the subject does nothing that could end the wait, ErrBusy
// where it is in a busy loop.
var (
	ErrQuiescent = errors.New("the subject is quiescent")
	ErrBusy      = errors.New("the subject is in a busy loop")
	errDismissed = errors.New("not served until the check ended")
)

const (
	// lookInterval is the time between two looks, which cost a millisecond and more each.
	lookInterval = 100 * time.Millisecond
	// maxClockStep is by how much the detector's clock advances at a look, at most.
	maxClockStep = 5 * lookInterval
	// busyLoopTime is more processor time than any work takes until it has a result.
	busyLoopTime = 2 * time.Second
	// restTime is how long a subject at rest does nothing. It is more than the time between
	// two looks, and than the steps of processor time.
	restTime = 150 * time.Millisecond
)

// wait is one wait for something of the subject.
type wait struct {
	c            *Case
	detector     *stallDetector
	began        time.Time
	from         time.Duration // on the detector's clock
	unproductive time.Duration // of the detector, at the begin
}

func (c *Case) wait() *wait {
	now, _, unproductive, _ := c.stall.look() // the next look returns the error again
	return &wait{c: c, detector: c.stall, began: time.Now(), from: now, unproductive: unproductive}
}

// answeredBy sets the session that answers the subject's trapped calls from now on.
func (p *stallDetector) answeredBy(session *inject.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered = session.Unanswered
}

// look returns the time on the detector's clock, and since when nothing has happened.
func (p *stallDetector) look() (now, still, unproductive time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := time.Since(p.looked)
	if gap < lookInterval {
		return p.now, p.still, p.unproductive, p.err
	}
	var quiet time.Duration
	quiet, p.unproductive, p.err = p.rest.Look()
	p.now += min(gap, maxClockStep)
	waits, calls := false, 0
	if p.unanswered != nil {
		waits, calls = p.unanswered()
	}
	if quiet < gap || waits || calls != p.calls {
		p.still = p.now
	}
	p.calls, p.looked = calls, time.Now()
	return p.now, p.still, p.unproductive, p.err
}

// stillFor is for how long nothing has happened, since a time on the detector's clock
// at the most.
func (p *stallDetector) stillFor(since time.Duration) (time.Duration, error) {
	now, still, _, err := p.look()
	return now - max(still, since), err
}

// over returns nil while it is worth waiting on.
func (w *wait) over() error {
	w.c.mu.Lock()
	dismissed := w.c.dismissed
	w.c.mu.Unlock()
	if dismissed {
		return errDismissed
	}
	if err := w.c.Context().Err(); err != nil {
		return context.Cause(w.c.Context())
	}
	now, still, unproductive, err := w.detector.look()
	if err != nil {
		return err
	}
	w.unproductive = min(w.unproductive, unproductive) // time before the wait does not count
	switch settling := w.c.settling(); {
	case now-max(still, w.from) >= settling && !w.c.retransmissionPending():
		return fmt.Errorf("%w: for %v every process of the subject sleeps and no socket changes", ErrQuiescent, settling)
	case unproductive-w.unproductive >= rig.Scaled(busyLoopTime):
		return fmt.Errorf("%w: it used %v of processor time without a result", ErrBusy, unproductive.Round(time.Second))
	case time.Since(w.began) >= rig.Patience():
		return fmt.Errorf("%w within %v", rig.ErrNotObserved, rig.Patience())
	}
	return nil
}

// settling is for how long nothing must have happened for a wait to be given up.
func (c *Case) settling() time.Duration {
	if c.shortWaits {
		return rig.Scaled(rig.Settling) / 8
	}
	return rig.Scaled(rig.Settling)
}

// unread says whether bytes of the client's connection wait for the subject to read
// them. Where none do, a client's kernel that probes has data that it could never
// send, because it had no route, and will.
func unread(here rig.Sockets, client rig.Socket) bool {
	return slices.ContainsFunc(here, func(k rig.Socket) bool {
		return k.Local == client.Remote && k.Remote == client.Local && k.RecvQueue > 0
	})
}

// retransmissionPending says whether a kernel will send something again: that of a client a
// SYN or data that the subject's kernel did not take because its backlog was full,
// or either of them data that a busy machine has not delivered yet. A connection
// that the backlog keeps out for good is not meant.
func (c *Case) retransmissionPending() bool {
	if c.backlogFull() {
		return false
	}
	here, err := c.Host.Sockets()
	if err == nil && slices.ContainsFunc(here, func(k rig.Socket) bool {
		return k.Timer == rig.TimerRetransmit && k.SendQueue > 0 && k.State != rig.Listening
	}) {
		return true
	}
	for _, host := range c.Clients {
		sockets, err := host.Sockets()
		if err != nil {
			return false
		}
		if slices.ContainsFunc(sockets, func(k rig.Socket) bool {
			return k.Timer == rig.TimerRetransmit || k.Timer == rig.TimerZeroWindowProbe && k.SendQueue > 0 && !unread(here, k)
		}) {
			return true
		}
	}
	return false
}

// Until waits until seen says yes, or until it is not worth waiting any more.
// last is what was seen last.
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

// AwaitRest waits until the subject has come to rest for a moment, as it does when
// it waits for clients, and returns whether it did. On a busy machine it may have
// to wait for a processor, so the first wait for a subject that never rests is long.
func (c *Case) AwaitRest() bool {
	longest := rig.Patience() / 6
	if c.neverRests {
		longest = rig.Scaled(rig.Settling)
	}
	began := time.Now()
	from, _, _, _ := c.stall.look() // the next look returns the error again
	err := rig.Await(c.Context(), "the subject at rest", func() (bool, string, error) {
		still, err := c.stall.stillFor(from)
		if err == nil && still < restTime && time.Since(began) >= longest {
			err = ErrBusy
		}
		return still >= restTime, "", err
	})
	c.neverRests = c.neverRests || errors.Is(err, ErrBusy)
	return err == nil
}
