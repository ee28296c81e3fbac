// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

var reapBurst = judge.Check{
	Name:    "reap-burst",
	Meaning: "workers that end at the same instant are all reaped",
	Defects: []string{"no-reap", "single-wait"},
	Judges:  []scorecard.Stimulus{scorecard.WorkerEnds},
	Clients: 2,
	Forks:   true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		for _, end := range []struct {
			how string
			act func()
		}{
			{"by themselves", c.CloseConnections},
			{"by SIGKILL", func() { c.Apply(fault.Kill{Targets: s.WorkerTargets()}) }},
		} {
			clients := c.Hold(20)
			if len(clients) < 2 {
				c.Skip("the check needs several processes that serve clients: this subject serves one client at a time")
			}
			s.Worker(clients[0])
			workers, err := s.Workers()
			c.Must(err)
			thaw := s.Freeze() // its SIGCHLDs become one
			end.act()
			left, err := s.AwaitWorkers(0)
			thaw()
			if err != nil {
				c.Broken("the workers do not end while the listener is stopped: %v", left)
			}
			zombies, err := c.Host.AwaitReaped(c.Context())
			c.Must(err)
			if len(zombies) > 0 {
				c.Fail("call waitpid(-1, &status, WNOHANG) in a loop until it returns 0 or -1, for any status: one SIGCHLD may stand for several children",
					"%d of %d workers that ended at the same instant (%s) are still zombies after %v", len(zombies), max(len(zombies), len(workers)), end.how, rig.Scaled(rig.Settling))
			}
			c.CloseConnections()
			s.MustSurvive("the end of many workers at once", "call accept again after workers have ended: the listener stops accepting")
			c.Note("%s ended at the same instant (%s); all are reaped", scorecard.Counted(len(workers), "worker", "workers"), end.how)
		}
	},
}
