// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"fmt"
	"time"

	"forkrig/rig/observe"
)

// Rest watches a host for signs of life, to tell a subject that does nothing
// any more from one that is merely slow: see [Host.WatchRest]. It is not safe for
// concurrent use.
type Rest struct {
	host       *Host
	waiter     *observe.Waiter
	quiescence observe.Quiescence
}

// WatchRest begins to watch the host.
func (h *Host) WatchRest() *Rest { return &Rest{host: h, waiter: observer.NewWaiter(h.everything())} }

// Look looks at every process and TCP socket of the host. Where the look before is not
// long ago, it waits until it is: some milliseconds, or what looking costs.
//
// It returns for how long nothing has happened, as far as looks tell: no process
// came or went, none ran or used processor time (counted in steps of 10 ms), and
// no socket changed. And it returns how much processor time was used without any
// result: since a process last came or went, or a socket last changed.
func (r *Rest) Look() (quiet, idle time.Duration, err error) {
	s, err := r.See(false, 0)
	return s.Quiet, s.Fruitless, err
}

// See is [Rest.Look] with all that is known then. The caller adds what it knows of the
// subject and the kernel does not show: whether it is awake, as one is that waits for
// the rig itself, and a number that changes with each event.
func (r *Rest) See(awake bool, events int) (observe.Stillness, error) {
	if err := r.host.lab.checkOpen("look at " + r.host.Name); err != nil {
		return observe.Stillness{}, err
	}
	s, err := r.waiter.Next(context.Background())
	if err != nil {
		return observe.Stillness{}, fmt.Errorf("look at %s: %w", r.host.Name, err)
	}
	now := observe.Activity{Events: events}
	if now.Processes, err = r.host.processesIn(s); err != nil {
		return observe.Stillness{}, err
	}
	if now.Sockets, err = r.host.socketsIn(s); err != nil {
		return observe.Stillness{}, err
	}
	if now.Awake, err = s.Awake(now.Processes); err != nil {
		return observe.Stillness{}, err
	}
	now.Awake = now.Awake || awake
	now.At = time.Now()
	return r.quiescence.See(now), nil
}
