// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var reap = judge.Check{
	Name:    "reap",
	Meaning: "workers that ended are reaped, under load and when idle afterwards",
	Defects: []string{"no-reap", "late-reap"},
	Judges:  []scorecard.Stimulus{scorecard.WorkerEnds},
	Clients: 2,
	Forks:   true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		s.MustFork()
		const clients = 40
		c.MustServe(c.Visits(clients, 4))
		s.AwaitWorkersEnd("the last client left")
		zombies, err := c.Host.AwaitReaped(c.Context())
		c.Must(err)
		if len(zombies) == 0 {
			// Init reaps the workers of a listener that has ended.
			s.MustSurvive("the end of a worker", "the end of a worker, SIGCHLD, must not end the listener: call accept again")
			c.Note("%d workers ended; all are reaped", clients+1)
			return
		}
		if s.ReapedByTimer() {
			c.Note("%d workers ended; all are reaped, some by a timer after %v", clients+1, rig.Scaled(rig.Settling))
			return
		}
		// The next client tells a listener that reaps late from one that never does.
		observed := fmt.Sprintf("%d of %d workers are still zombies %v after the last client left", len(zombies), clients+1, rig.Scaled(rig.Settling))
		c.MustServe(c.Visit(0))
		s.AwaitWorkersEnd("one more client left")
		after, err := c.Host.AwaitReaped(c.Context())
		c.Must(err)
		if still := judge.InBoth(zombies, after); len(still) > 0 {
			c.Fail("call waitpid(-1, &status, WNOHANG) in a loop on SIGCHLD, or ignore SIGCHLD: the listener does not reap its workers",
				"%s, and %d of them after one more client left", observed, len(still))
		}
		c.Fail("reap on SIGCHLD, not after accept: the listener reaps its workers only when the next client connects",
			"%s, and are reaped when one more client connects", observed)
	},
}
