// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"

	"forkrig/judge"
	"forkrig/rig"
)

var reuseLiveWorker = judge.Check{
	Name:    "reuse-live-worker",
	Meaning: "after the listener is killed, a restart binds while an old worker still lives",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr", "worker-keeps-listener"},
	Clients: 2,
	Binds:   true,
	Run: func(c *judge.Case) {
		first := c.Start("")
		old := c.MustDial(0)
		c.MustServe(old.Begin())
		worker := first.Worker(old)
		_, _, err := c.Lab.KillTogether(c.Context(), first.OwnTarget())
		c.Must(err)
		if !outlives(c, worker) {
			c.Skip("its workers end with the listener")
		}

		second, err := c.TryStart()
		if err != nil {
			failToStartBeside(c, first, worker, err)
		}
		if inode, err := old.ServerInode(); err != nil || inode == 0 {
			c.Broken("the old worker is gone after the restart, so that it proves nothing")
		}
		fresh := c.MustDial(1)
		if err := fresh.Begin(); err != nil {
			c.Fail("connections go where nobody accepts: close the listening socket in the worker",
				"a new client is not served by the restarted subject: %v", err)
		}
		if inode, err := fresh.ServerInode(); err == nil && inode != 0 {
			if holders := c.Holders(inode); len(judge.InBoth(holders, worker)) > 0 {
				c.Fail("the old worker accepts: close the listening socket in the worker",
					"a new client is served by %s", first.Describe(holders))
			}
		}
		if err := old.Finish(); err != nil {
			c.Fail("a worker must not depend on the listener's life", "the old worker's conversation breaks: %v", err)
		}
		second.MustServe("the restarted subject must serve like the first")
		c.Note("listens again beside the old worker")
	},
}

// outlives says whether the worker lives on for good without the listener.
func outlives(c *judge.Case, worker rig.ProcessInfos) bool {
	c.AwaitRest()
	processes, err := c.Host.Processes()
	c.Must(err)
	return len(judge.InBoth(worker, processes.Alive())) > 0
}

// failToStartBeside says why the subject cannot be restarted beside the worker.
func failToStartBeside(c *judge.Case, first *judge.Instance, worker rig.ProcessInfos, err error) {
	here, listErr := c.PortSockets()
	c.Must(listErr)
	for _, listener := range here.In(rig.Listening) {
		holders := c.Holders(listener.Inode)
		if i := slices.IndexFunc(holders, func(i rig.ProcessInfo) bool { return slices.ContainsFunc(worker, i.Same) }); i >= 0 {
			c.Fail("the listening socket is still held by a worker: close it in the child after fork (or let it be close-on-exec)",
				"the restart does not listen: the listening socket is still held by %s; %v", first.Describe(holders[i:i+1]), judge.WhyNot(err))
		}
	}
	c.Fail("bind gives EADDRINUSE while a connection of the old server lives: set SO_REUSEADDR to 1 on every listening socket, before bind",
		"the restart does not listen while an old worker converses: %v", judge.WhyNot(err))
}
