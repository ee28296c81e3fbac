// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var fdSteady = judge.Check{
	Name:    "fd-steady",
	Meaning: "the subject does not leave descriptors open when its clients have left",
	Defects: []string{"parent-keeps-conn"},
	Clients: 2,
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		// What a server opens for its first clients it may keep, and a pool of
		// descriptors may grow for a while. A leak, even one in 64, grows with every round.
		const clients, together, rounds = 130, 4, 3
		var before judge.Descriptors
		var leaked rig.FDs
		grown := 0
		for i := range 1 + rounds {
			c.MustServe(c.Visits(clients, together))
			s.AwaitWorkersEnd("the last client left")
			if i == 0 {
				c.AwaitRest()
				before = c.Descriptors(s.Own)
				continue
			}
			grown = len(leaked)
			var err error
			if leaked, err = c.AwaitGained(s.Own, before, grown); err == nil {
				if before.Count() == 0 {
					c.Broken("no process from before the first connection is left")
				}
				c.Note("%d descriptors before and after %d connections", before.Count()+len(leaked), clients)
				return
			}
		}
		// A subject may close what its clients have left when it looks after a while.
		if _, err := c.UntilTimer(s.Own, "descriptors to be closed", func() (bool, string, error) {
			leaked = before.Gained(c.Descriptors(s.Own))
			return len(leaked) <= grown, leaked.String(), nil
		}); err == nil {
			c.Note("%d descriptors before and, some time after the last client, %d more", before.Count(), len(leaked))
			return
		}
		holding := s.Own.Where(func(i rig.ProcessInfo) bool {
			return len(before.Gained(c.Descriptors(rig.ProcessInfos{i}))) > 0
		})
		c.Fail("close each connection when its client has left (in a parent after fork, and also when fork fails): otherwise accept fails with EMFILE in the end",
			"%s has %s after %d connections: %s", s.Describe(holding), scorecard.Counted(len(leaked), "more descriptor", "more descriptors"), clients*rounds, judge.Kinds(leaked))
	},
}
