// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"

	"forkrig/judge"
	"forkrig/rig"
)

var reap = judge.Check{
	Name:    "reap",
	Meaning: "workers that ended are reaped, under load and when idle afterwards",
	Defects: []string{"no-reap", "late-reap"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		s.MustFork()
		const crowd = 40
		c.MustServe(c.Visits(crowd, 4))
		s.AwaitWorkersEnd("the last client left")
		zombies, err := c.Host.AwaitReaped(c.Context())
		c.Must(err)
		if len(zombies) == 0 {
			c.Note("%d workers ended, all are reaped", crowd+1)
			return
		}
		if c.HasTimer(s.Listeners()) && c.ReapedByTimer() {
			c.Note("%d workers ended, all are reaped, some after %v by a timer", crowd+1, rig.Scaled(rig.Settling))
			return
		}
		// Is it late, or never?
		observed := fmt.Sprintf("%d zombies of %d workers stay for %v after the last client left", len(zombies), crowd+1, rig.Scaled(rig.Settling))
		c.MustServe(c.Visit(0))
		s.AwaitWorkersEnd("one more client left")
		after, err := c.Host.AwaitReaped(c.Context())
		c.Must(err)
		if still := judge.InBoth(zombies, after); len(still) > 0 {
			c.Fail("nobody waits for them: call waitpid(-1, &status, WNOHANG) in a loop when SIGCHLD comes, or ignore SIGCHLD",
				"%s, and %d of them after one more client", observed, len(still))
		}
		c.Fail("they are reaped when the next client comes, and not before: reap when SIGCHLD comes, and not at accept",
			"%s, and go when one more client comes", observed)
	},
}
