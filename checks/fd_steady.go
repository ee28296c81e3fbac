// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"os"

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
		var before map[int]rig.FDs
		var leaked rig.FDs
		for i := range 1 + rounds {
			c.MustServe(c.Visits(clients, together))
			s.AwaitWorkersEnd("the last client left")
			if i == 0 {
				c.AwaitRest()
				before = descriptors(c, listeners)
				continue
			}
			grown := len(leaked)
			if leaked = awaitBaseline(c, listeners, before, grown); len(leaked) <= grown {
				c.Note("%d descriptors before and after %d connections", len(before[listeners[0].PID])+len(leaked), clients)
				return
			}
		}
		c.Fail("connections leak descriptors until accept gives EMFILE: close each one in the parent, also when fork fails",
			"%s has %d more descriptors after %d connections: %s", s.Describe(listeners), len(leaked), clients*rounds, judge.Kinds(leaked))
	},
}

// descriptors reads what the processes have open.
func descriptors(c *judge.Case, processes rig.ProcessInfos) map[int]rig.FDs {
	all := map[int]rig.FDs{}
	for _, info := range processes {
		fds, err := c.Host.FDs(info)
		if errors.Is(err, os.ErrNotExist) {
			c.Broken("the listener ended: %v", info)
		}
		c.Must(err)
		all[info.PID] = fds
	}
	return all
}

// awaitBaseline waits until the processes have no more descriptors beyond those
// of before than allowed, and returns the ones that they have.
func awaitBaseline(c *judge.Case, processes rig.ProcessInfos, before map[int]rig.FDs, allowed int) (beyond rig.FDs) {
	_, _ = c.Until("descriptors at their baseline", func() (bool, string, error) { // the caller judges what stays
		beyond = nil
		for pid, now := range descriptors(c, processes) {
			beyond = append(beyond, judge.Gained(before[pid], now)...)
		}
		return len(beyond) <= allowed, beyond.String(), nil
	})
	return beyond
}
