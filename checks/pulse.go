package checks

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"forkrig/rig"
)

// pulse tells whether it is still worth waiting for the subject. One look at all
// processes and sockets serves everybody who waits at that moment.
type pulse struct {
	rest *rig.Rest

	mu     sync.Mutex
	looked time.Time
	still  time.Time     // since when nothing has happened
	vain   time.Duration // processor time without a result
	err    error
}

// errStuck is wrapped where the subject does nothing any more that could bring
// about what is waited for; errBusy where it works without end.
var (
	errStuck = errors.New("nothing happens any more")
	errBusy  = errors.New("it works without end")
	errAway  = errors.New("not served until the check ended")
)

const (
	// betweenLooks keeps looks, which cost a millisecond and more, rare.
	betweenLooks = 100 * time.Millisecond
	// muchWork is more processor time than anything takes until it shows.
	muchWork = 2 * time.Second
	// moment is how long a subject does nothing that waits for clients. It is more
	// than the time between two looks, and than the steps of processor time.
	moment = 150 * time.Millisecond
)

// wait is one wait for something of the subject.
type wait struct {
	c     *Case
	pulse *pulse
	began time.Time
	vain  time.Duration
}

func (c *Case) wait() *wait {
	_, vain, _ := c.pulse.look() // an error comes again
	return &wait{c: c, pulse: c.pulse, began: time.Now(), vain: vain}
}

func (p *pulse) look() (still time.Time, vain time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) >= betweenLooks {
		var quiet time.Duration
		quiet, p.vain, p.err = p.rest.Look()
		p.looked = time.Now()
		p.still = p.looked.Add(-quiet)
	}
	return p.still, p.vain, p.err
}

// over returns nil while it is worth waiting on.
func (w *wait) over() error {
	w.c.mu.Lock()
	away := w.c.away
	w.c.mu.Unlock()
	if away {
		return errAway
	}
	still, vain, err := w.pulse.look()
	if err != nil {
		return err
	}
	if still.Before(w.began) {
		still = w.began
	}
	w.vain = min(w.vain, vain) // what was in vain before the wait does not count
	switch settling := rig.Scaled(rig.Settling); {
	case time.Since(still) >= settling && !w.c.onTheirWay():
		return fmt.Errorf("%w: for %v every process of the subject sleeps and no socket changes", errStuck, settling)
	case vain-w.vain >= rig.Scaled(muchWork):
		return fmt.Errorf("%w: %v of processor time have come to nothing", errBusy, vain.Round(time.Second))
	case time.Since(w.began) >= rig.Patience():
		return fmt.Errorf("%w within %v", rig.ErrNotObserved, rig.Patience())
	}
	return nil
}

// onTheirWay says whether a kernel will send something again: that of a client a
// SYN or data that the subject's kernel did not take because its backlog was full,
// or either of them data that a busy machine has not delivered yet. A connection
// that the backlog keeps out for good is not meant.
func (c *Case) onTheirWay() bool {
	if c.backlogFull() {
		return false
	}
	sockets, err := c.host.Sockets()
	if err == nil && slices.ContainsFunc(sockets, func(k rig.Socket) bool {
		return k.Timer == rig.TimerRetransmit && k.SendQueue > 0 && k.State != rig.Listening
	}) {
		return true
	}
	for _, host := range c.clients {
		sockets, err := host.Sockets()
		if err != nil {
			return false
		}
		if slices.ContainsFunc(sockets, func(k rig.Socket) bool { return k.Timer == rig.TimerRetransmit }) {
			return true
		}
	}
	return false
}

// until waits until seen says yes, or until it is not worth waiting any more.
// last is what was seen last.
func (c *Case) until(what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	w := c.wait()
	err = rig.Await(c.tb.Context(), what, func() (bool, string, error) {
		yes, now, err := seen()
		last = now
		if yes || err != nil {
			return yes, now, err
		}
		return false, now, w.over()
	})
	return last, err
}

// settled waits until the subject has come to rest for a moment, as it does when
// it waits for clients, and returns whether it did. On a busy machine it may have
// to wait for a processor, so one that never rests is given long, once.
func (c *Case) settled() bool {
	longest := rig.Patience() / 6
	if c.restless {
		longest = rig.Scaled(rig.Settling)
	}
	began := time.Now()
	err := rig.Await(c.tb.Context(), "the subject at rest", func() (bool, string, error) {
		still, _, err := c.pulse.look()
		if still.Before(began) {
			still = began
		}
		if time.Since(began) >= longest {
			return false, "", errBusy
		}
		return time.Since(still) >= moment, "", err
	})
	c.restless = c.restless || errors.Is(err, errBusy)
	return err == nil
}
