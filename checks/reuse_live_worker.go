// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var reuseLiveWorker = judge.Check{
	Name:    "reuse-live-worker",
	Meaning: "after the listener is killed, a restart binds while an old worker still lives",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr", "worker-keeps-listener"},
	Clients: 2,
	Forks:   true,
	Binds:   true,
	Run: func(c *judge.Case) {
		first := c.Start("")
		old := c.MustDial(0)
		c.MustServe(old.Begin())
		worker := first.Worker(old)
		c.Apply(fault.Kill{Targets: first.OwnTargets()})
		if !outlives(c, worker) {
			c.Skip("the check needs a process for each connection that outlives the listener: here they end with it")
		}

		if _, err := c.TryStart(judge.Launch{}); err != nil {
			failToStartBeside(c, first, worker, err)
		}
		if inode, err := old.ServerInode(); err != nil || inode == 0 {
			c.ConnectionEnded(old, "the old worker is gone after the restart, so nothing is proved")
		}
		fresh := c.MustDial(1)
		if err := fresh.Begin(); err != nil {
			c.Fail("close the listening socket in the child after fork: the old worker holds it and does not accept",
				"a new client is not served by the restarted subject: %v", err)
		}
		if inode, err := fresh.ServerInode(); err == nil && inode != 0 {
			if holders := c.Holders(inode); len(judge.InBoth(holders, worker)) > 0 {
				c.Fail("close the listening socket in the child after fork: the old worker accepts connections",
					"a new client is served by %s", first.Describe(holders))
			}
		}
		if err := old.Finish(); err != nil && !c.EndsSilent(old) {
			c.Fail("let the worker serve its client after the listener has ended: it depends on the listener",
				"the conversation of the old worker breaks: %v", err)
		}
		c.MustServe(fresh.Finish()) // it may serve one client at a time
		c.MustServe(c.Visit(0))
		c.Note("it listens again while the old worker lives")
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
			c.Fail("close the listening socket in the child after fork, or make it close-on-exec: a worker still holds it",
				"the restarted subject does not listen: the listening socket is still held by %s; %v", first.Describe(holders[i:i+1]), judge.StartFailure(err))
		}
	}
	c.Fail("set SO_REUSEADDR to 1 on every listening socket before bind: otherwise bind fails with EADDRINUSE while an old connection is open",
		"the restarted subject does not listen while an old worker lives: %v", judge.StartFailure(err))
}
