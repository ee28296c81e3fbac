// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
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
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		s.AwaitWorkersEnd("the client left")
		thaw := s.Freeze() // so that it accepts none before all have connected
		const clients = 100
		errs := make([]error, clients)
		var wait sync.WaitGroup
		for i := range clients {
			wait.Go(func() { errs[i] = c.Visit(i) })
		}
		var queued, backlog uint32
		_, arrived := c.Until("100 clients in the backlog, or a full backlog", func() (bool, string, error) {
			here, err := c.PortSockets()
			full := false
			queued, backlog = 0, 0
			for _, l := range here.In(rig.Listening) { // several with SO_REUSEPORT
				queued, backlog = queued+l.RecvQueue, backlog+l.SendQueue
				full = full || l.RecvQueue > l.SendQueue
			}
			return queued == clients || full, here.In(rig.Listening).String(), err
		})
		thaw()
		longest := maxVisitTime
		if queued < clients {
			longest = maxRepeatTime
		}
		unserved := awaitVisits(c, &wait, errs, rig.Scaled(longest))
		remedy := fmt.Sprintf("pass a larger backlog than %d to listen (SOMAXCONN); the kernel limits it to net.core.somaxconn", backlog)
		switch {
		case arrived != nil:
			c.Broken("the clients did not reach the backlog: %v", judge.FirstLine(arrived))
		case queued == clients && unserved != nil:
			c.Finding("not-served")
			c.Fail("call accept until the backlog is empty: all clients were in it, and some were not served",
				"%v", unserved)
		case queued < clients:
			lateness := "they sent it again and were served, 1 s later or more"
			if unserved != nil {
				lateness = unserved.Error()
			}
			forgotten := 0
			for _, err := range errs {
				if errors.Is(err, judge.ErrForgotten) {
					forgotten++
				}
			}
			if forgotten > 0 {
				lateness = fmt.Sprintf("%d of them wait for ever: %v", forgotten, judge.ErrForgotten)
			}
			c.Finding("backlog-small")
			c.Fail(remedy, "the kernel dropped the SYN of %d of %d clients while the listener was stopped; %s", clients-queued, clients, lateness)
		}
		c.Note("all clients are served; the backlog is %d", backlog)
		if backlog < commonBacklog {
			c.Finding("backlog-small")
			c.Warn(remedy, "the backlog is less than %d", commonBacklog)
		}
	},
}

// commonBacklog is what SOMAXCONN is in most programs. A smaller one is worth a warning
// where it turned none of the clients away.
const commonBacklog = 128

// maxVisitTime is how long 100 clients that wait in the backlog may take, with a program that is
// executed for each.
const maxVisitTime = 15 * time.Second

// maxRepeatTime is how long a client whose SYN the kernel dropped repeats it in this check: twice,
// after 1 and 3 s. Where it was the last segment of the handshake that the kernel dropped, it is
// the subject's SYN-ACK that is repeated so. That the backlog is too small is known before.
const maxRepeatTime = 5 * time.Second

// awaitVisits waits for the clients and returns which were not served. After the longest time
// it closes the connections of those that still wait.
func awaitVisits(c *judge.Case, wait *sync.WaitGroup, errs []error, longest time.Duration) error {
	done := make(chan struct{})
	go func() {
		wait.Wait()
		close(done)
	}()
	looks := time.NewTicker(100 * time.Millisecond)
	defer looks.Stop()
	for began := time.Now(); c.Context().Err() == nil && (time.Since(began) < longest || c.AwaitsDevice()); {
		select {
		case <-done:
			c.Return(errs)
			return judge.Summary(errs)
		case <-looks.C:
		}
	}
	c.DismissClients()
	<-done
	return fmt.Errorf("within %v %w", longest, judge.Summary(errs))
}
