// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/judge"
	"forkrig/rig"
)

var fdSteady = judge.Check{
	Name:    "fd-steady",
	Meaning: "the listener's descriptors return to the baseline",
	Defects: []string{"parent-keeps-conn"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		listeners := s.Listeners()
		if len(listeners) == 0 {
			c.Broken("no process from before the first connection holds the listening socket")
		}
		// What a server opens for its first clients it may keep, and a pool of
		// descriptors may grow for a while. A leak, even one in 64, grows with every round.
		const clients, together, rounds = 130, 4, 3
		var before judge.Descriptors
		var leaked rig.FDs
		for i := range 1 + rounds {
			c.MustServe(c.Visits(clients, together))
			s.AwaitWorkersEnd("the last client left")
			if i == 0 {
				c.AwaitRest()
				before = c.Descriptors(listeners)
				continue
			}
			grown := len(leaked)
			var err error
			if leaked, err = c.AwaitGained(listeners, before, grown); err == nil {
				c.Note("%d descriptors before and after %d connections", len(before[listeners[0].PID])+len(leaked), clients)
				return
			}
		}
		c.Fail("connections leak descriptors until accept gives EMFILE: close each one in the parent, also when fork fails",
			"%s has %d more descriptors after %d connections: %s", s.Describe(listeners), len(leaked), clients*rounds, judge.Kinds(leaked))
	},
}
