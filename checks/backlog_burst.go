// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"sync"
	"time"

	"forkrig/judge"
	"forkrig/rig"
)

var backlogBurst = judge.Check{
	Name:    "backlog-burst",
	Meaning: "100 clients that connect at the same instant are all served",
	Defects: []string{"small-backlog"},
	Clients: 4,
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		s.AwaitWorkersEnd("its client left")
		s.Freeze() // for a moment, so that it does not race with the clients
		const crowd = 100
		errs := make([]error, crowd)
		var wait sync.WaitGroup
		for i := range crowd {
			wait.Go(func() { errs[i] = c.Visit(i) })
		}
		var queued, backlog uint32
		_, arrived := c.Until("100 clients in the backlog, or a full one", func() (bool, string, error) {
			here, err := c.PortSockets()
			full := false
			queued, backlog = 0, 0
			for _, l := range here.In(rig.Listening) { // several with SO_REUSEPORT
				queued, backlog = queued+l.RecvQueue, backlog+l.SendQueue
				full = full || l.RecvQueue > l.SendQueue
			}
			return queued == crowd || full, here.In(rig.Listening).String(), err
		})
		c.Thaw(s.OwnTarget())
		unserved := awaitVisits(c, &wait, errs)
		switch {
		case arrived != nil:
			c.Broken("the clients did not arrive: %v", judge.FirstLine(arrived))
		case queued == crowd && unserved != nil:
			c.Fail("each of them was in the backlog: accept until nobody waits any more", "%v", unserved)
		case queued < crowd:
			late := "all are served, but they waited 1 s and more to repeat their SYN"
			if unserved != nil {
				late = unserved.Error()
			}
			c.Fail(fmt.Sprintf("the backlog is %d: give listen a larger one (SOMAXCONN); the kernel cuts it to net.core.somaxconn", backlog),
				"the kernel turned away %d of %d clients that came while the listener did not accept for a moment; %s", crowd-queued, crowd, late)
		}
		c.Note("all served, with a backlog of %d", backlog)
	},
}

// longestVisit is how long a client that was turned away repeats its SYN in this
// check: four times, in the kernel's rhythm of 1, 2, 4 and 8 s.
const longestVisit = 15 * time.Second

// awaitVisits waits for the clients, and then tells what became of them. Those
// that the backlog kept out for long are sent away.
func awaitVisits(c *judge.Case, wait *sync.WaitGroup, errs []error) error {
	done := make(chan struct{})
	go func() {
		wait.Wait()
		close(done)
	}()
	over := time.NewTimer(rig.Scaled(longestVisit))
	defer over.Stop()
	select {
	case <-done:
		return judge.Summary(errs)
	case <-over.C:
	case <-c.Context().Done():
	}
	c.DismissClients()
	<-done
	return fmt.Errorf("after %v, %w", rig.Scaled(longestVisit), judge.Summary(errs))
}
