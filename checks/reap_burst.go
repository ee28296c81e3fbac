package checks

import "forkrig/rig"

var reapBurst = Check{
	Name:    "reap-burst",
	Meaning: "workers that end at the same instant are all reaped",
	Defects: []string{"no-reap", "single-wait"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		for _, end := range []struct {
			how string
			act func()
		}{
			{"by themselves", c.sendHome},
			{"by SIGKILL", func() {
				_, _, err := c.lab.KillTogether(c.tb.Context(), s.serving())
				c.must(err)
			}},
		} {
			clients := c.held(20)
			s.worker(clients[0])
			workers, err := s.workersAlive()
			c.must(err)
			s.freeze() // its SIGCHLDs become one
			end.act()
			last, err := c.until("the end of all workers", func() (bool, string, error) {
				left, err := s.workersAlive()
				return len(left) == 0, left.String(), err
			})
			c.thaw(s.starters())
			if err != nil {
				c.broken("the workers do not end while the listener is stopped: %v", last)
			}
			zombies, err := c.host.AwaitReaped(c.tb.Context())
			c.must(err)
			if len(zombies) > 0 {
				c.fail("SIGCHLD is delivered once for several children: call waitpid(-1, &status, WNOHANG) in a loop until it returns 0 or -1, however they ended",
					"%d zombies of %d workers that ended at the same instant, %s, stay for %v", len(zombies), len(workers), end.how, rig.Scaled(rig.Settling))
			}
			c.sendHome()
			s.survives("the end of many workers at once", "the end of workers is no reason to stop accepting")
			c.note("%d workers ended at the same instant %s, all are reaped", len(workers), end.how)
		}
	},
}
