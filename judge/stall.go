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
// processes and sockets serves everybody who waits at that moment.
//
// It has a clock of its own, on which a look is never more than a moment after the
// one before. On a busy machine the tests themselves may wait for a processor for
// seconds, and the subject for them: time in which nobody looked does not count.
type stallDetector struct {
	rest *rig.Rest
	// unanswered says whether the subject waits for the rig itself, and how often
	// it has; nil where it never does.
	unanswered func() (waits bool, made int)

	mu     sync.Mutex
	looked time.Time
	now    time.Duration // on the clock
	still  time.Duration // since when nothing has happened, on the clock
	made   int
	vain   time.Duration // processor time without a result
	err    error
}

// errStuck is wrapped where the subject does nothing any more that could bring
// about what is waited for; errBusy where it works without end.
var (
	ErrQuiescent = errors.New("nothing happens any more")
	ErrBusy      = errors.New("it works without end")
	errDismissed = errors.New("not served until the check ended")
)

const (
	// betweenLooks keeps looks, which cost a millisecond and more, rare.
	betweenLooks = 100 * time.Millisecond
	// longestGap is by how much the pulse's clock goes on at a look at the most.
	longestGap = 5 * betweenLooks
	// muchWork is more processor time than anything takes until it shows.
	muchWork = 2 * time.Second
	// moment is how long a subject does nothing that waits for clients. It is more
	// than the time between two looks, and than the steps of processor time.
	moment = 150 * time.Millisecond
)

// wait is one wait for something of the subject.
type wait struct {
	c     *Case
	pulse *stallDetector
	began time.Time
	from  time.Duration // on the pulse's clock
	vain  time.Duration
}

func (c *Case) wait() *wait {
	now, _, vain, _ := c.stall.look() // an error comes again
	return &wait{c: c, pulse: c.stall, began: time.Now(), from: now, vain: vain}
}

// answeredBy says who answers the subject's trapped calls from now on.
func (p *stallDetector) answeredBy(session *inject.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered = session.Unanswered
}

// look returns the time on the pulse's clock, and since when nothing has happened.
func (p *stallDetector) look() (now, still, vain time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := time.Since(p.looked)
	if gap < betweenLooks {
		return p.now, p.still, p.vain, p.err
	}
	var quiet time.Duration
	quiet, p.vain, p.err = p.rest.Look()
	p.now += min(gap, longestGap)
	waits, made := false, 0
	if p.unanswered != nil {
		waits, made = p.unanswered()
	}
	if quiet < gap || waits || made != p.made {
		p.still = p.now
	}
	p.made, p.looked = made, time.Now()
	return p.now, p.still, p.vain, p.err
}

// stillFor is for how long nothing has happened, since a time on the pulse's clock
// at the most.
func (p *stallDetector) stillFor(since time.Duration) (time.Duration, error) {
	now, still, _, err := p.look()
	return now - max(still, since), err
}

// over returns nil while it is worth waiting on.
func (w *wait) over() error {
	w.c.mu.Lock()
	away := w.c.away
	w.c.mu.Unlock()
	if away {
		return errDismissed
	}
	if err := w.c.Context().Err(); err != nil {
		return context.Cause(w.c.Context())
	}
	now, still, vain, err := w.pulse.look()
	if err != nil {
		return err
	}
	w.vain = min(w.vain, vain) // what was in vain before the wait does not count
	switch settling := w.c.settling(); {
	case now-max(still, w.from) >= settling && !w.c.onTheirWay():
		return fmt.Errorf("%w: for %v every process of the subject sleeps and no socket changes", ErrQuiescent, settling)
	case vain-w.vain >= rig.Scaled(muchWork):
		return fmt.Errorf("%w: %v of processor time have come to nothing", ErrBusy, vain.Round(time.Second))
	case time.Since(w.began) >= rig.Patience():
		return fmt.Errorf("%w within %v", rig.ErrNotObserved, rig.Patience())
	}
	return nil
}

// settling is for how long nothing must have happened for a wait to be given up.
func (c *Case) settling() time.Duration {
	if c.hasty {
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

// onTheirWay says whether a kernel will send something again: that of a client a
// SYN or data that the subject's kernel did not take because its backlog was full,
// or either of them data that a busy machine has not delivered yet. A connection
// that the backlog keeps out for good is not meant.
func (c *Case) onTheirWay() bool {
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
// to wait for a processor, so one that never rests is given long, once.
func (c *Case) AwaitRest() bool {
	longest := rig.Patience() / 6
	if c.restless {
		longest = rig.Scaled(rig.Settling)
	}
	began := time.Now()
	from, _, _, _ := c.stall.look() // an error comes again
	err := rig.Await(c.Context(), "the subject at rest", func() (bool, string, error) {
		still, err := c.stall.stillFor(from)
		if err == nil && still < moment && time.Since(began) >= longest {
			err = ErrBusy
		}
		return still >= moment, "", err
	})
	c.restless = c.restless || errors.Is(err, ErrBusy)
	return err == nil
}
