// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var reapExact = judge.Check{
	Name:    "reap-exact",
	Meaning: "of the workers of 1,000 connections not one stays as a zombie",
	Defects: []string{"no-reap", "single-wait", "leak-one-in-64"},
	Judges:  []scorecard.Stimulus{scorecard.WorkerEnds},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		s.MustFork()
		// In parts, so that a server that does not reap does not get 1,000 zombies.
		const clients, parts = 1000, 4
		for part := 1; part <= parts; part++ {
			c.MustServe(c.Visits(clients/parts, 8))
			s.AwaitWorkersEnd("the last client left")
			zombies, err := c.Host.AwaitReaped(c.Context())
			c.Must(err)
			if len(zombies) > 0 { // the check reap judges listeners that reap when the next client comes
				c.MustServe(c.Visit(0))
				s.AwaitWorkersEnd("one more client left")
				zombies, err = c.Host.AwaitReaped(c.Context())
				c.Must(err)
			}
			if len(zombies) > 0 {
				c.Fail("call waitpid(-1, &status, WNOHANG) in a loop on SIGCHLD, and block SIGCHLD while the table of workers is changed: "+
					"the listener misses some workers",
					"%d of %d workers are still zombies %v after the last client left, and one more came", len(zombies), part*clients/parts+2, rig.Scaled(rig.Settling))
			}
		}
		c.Note("%d connections, no zombie", clients+1)
	},
}
