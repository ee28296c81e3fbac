package checks

import (
	"context"
	"fmt"
	"time"

	"forkrig/rig"
)

var reap = Check{
	Name:    "reap",
	Meaning: "workers that ended are reaped, under load and when idle afterwards",
	Defects: []string{"no-reap", "late-reap"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		s.forks()
		const crowd = 40
		c.mustServe(c.crowd(crowd, 4))
		s.workersEnd("the last client left")
		zombies, err := c.host.AwaitReaped(c.tb.Context())
		c.must(err)
		if len(zombies) == 0 {
			c.note("%d workers ended, all are reaped", crowd+1)
			return
		}
		if c.hasTimer(s.listeners()) && c.reapedByTimer() {
			c.note("%d workers ended, all are reaped, some after %v by a timer", crowd+1, rig.Scaled(rig.Settling))
			return
		}
		// Is it late, or never?
		observed := fmt.Sprintf("%d zombies of %d workers stay for %v after the last client left", len(zombies), crowd+1, rig.Scaled(rig.Settling))
		c.mustServe(c.visit(0))
		s.workersEnd("one more client left")
		after, err := c.host.AwaitReaped(c.tb.Context())
		c.must(err)
		if still := inBoth(zombies, after); len(still) > 0 {
			c.fail("nobody waits for them: call waitpid(-1, &status, WNOHANG) in a loop when SIGCHLD comes, or ignore SIGCHLD",
				"%s, and %d of them after one more client", observed, len(still))
		}
		c.fail("they are reaped when the next client comes, and not before: reap when SIGCHLD comes, and not at accept",
			"%s, and go when one more client comes", observed)
	},
}

// reapedByTimer waits for a subject that looks for ended workers now and then.
func (c *Case) reapedByTimer() bool {
	ctx, cancel := context.WithTimeout(c.tb.Context(), rig.Scaled(longestTimer))
	defer cancel()
	_, err := c.host.AwaitProcesses(ctx, "zombies reaped by a timer", func(l rig.ProcessInfos) bool { return len(l.Zombies()) == 0 })
	return err == nil
}

// longestTimer is how seldom a subject may look for ended workers.
const longestTimer = 10 * time.Second

// inBoth returns the processes that are in both lists.
func inBoth(a, b rig.ProcessInfos) rig.ProcessInfos {
	var both rig.ProcessInfos
	for _, x := range a {
		for _, y := range b {
			if x.Same(y) {
				both = append(both, x)
			}
		}
	}
	return both
}
