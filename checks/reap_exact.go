// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var reapExact = judge.Check{
	Name:    "reap-exact",
	Meaning: "none of the workers of up to 1,000 connections stays a zombie",
	Defects: []string{"no-reap", "single-wait", "leak-one-in-64"},
	Judges:  []scorecard.Stimulus{scorecard.WorkerEnds},
	Clients: 2,
	Forks:   true,
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		s.MustFork()
		// In parts, so that a server that does not reap does not get 1,000 zombies.
		const most, part = 1000, 250
		clients := 0
		for began := time.Now(); clients < most && (clients == 0 || time.Since(began) < rig.Scaled(enoughTime)); {
			c.MustServe(c.Visits(part, 8))
			clients += part
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
					"%d of %d workers are still zombies %v after the last client left, and one more came", len(zombies), clients+2, rig.Scaled(rig.Settling))
			}
		}
		c.Note("%d connections, no zombie", clients+1)
	},
}

// enoughTime is after how long no more connections are made: a subject that executes a program for
// each needs 20 ms for one, and most of the time of the whole run.
const enoughTime = 3 * time.Second
