package checks

import (
	"slices"

	"forkrig/rig"
)

var reuseLiveWorker = Check{
	Name:    "reuse-live-worker",
	Meaning: "after the listener is killed, a restart binds while an old worker still lives",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr", "worker-keeps-listener"},
	clients: 2,
	binds:   true,
	run: func(c *Case) {
		first := c.start("")
		old := c.mustDial(0)
		c.mustServe(old.begin())
		worker := first.worker(old)
		_, _, err := c.lab.KillTogether(c.tb.Context(), first.starters())
		c.must(err)
		if !c.outlives(worker) {
			c.skip("its workers end with the listener")
		}

		second, err := c.tryStart()
		if err != nil {
			c.failToStartBeside(first, worker, err)
		}
		if inode, err := old.serverInode(); err != nil || inode == 0 {
			c.broken("the old worker is gone after the restart, so that it proves nothing")
		}
		fresh := c.mustDial(1)
		if err := fresh.begin(); err != nil {
			c.fail("connections go where nobody accepts: close the listening socket in the worker",
				"a new client is not served by the restarted subject: %v", err)
		}
		if inode, err := fresh.serverInode(); err == nil && inode != 0 {
			if holders := c.holders(inode); len(inBoth(holders, worker)) > 0 {
				c.fail("the old worker accepts: close the listening socket in the worker",
					"a new client is served by %s", first.described(holders))
			}
		}
		if err := old.finish(); err != nil {
			c.fail("a worker must not depend on the listener's life", "the old worker's conversation breaks: %v", err)
		}
		second.converses("the restarted subject must serve like the first")
		c.note("listens again beside the old worker")
	},
}

// outlives says whether the worker lives on for good without the listener.
func (c *Case) outlives(worker rig.ProcessInfos) bool {
	c.settled()
	processes, err := c.host.Processes()
	c.must(err)
	return len(inBoth(worker, processes.Alive())) > 0
}

// failToStartBeside says why the subject cannot be restarted beside the worker.
func (c *Case) failToStartBeside(first *server, worker rig.ProcessInfos, err error) {
	here, listErr := c.onPort()
	c.must(listErr)
	for _, listener := range here.In(rig.Listening) {
		holders := c.holders(listener.Inode)
		if i := slices.IndexFunc(holders, func(i rig.ProcessInfo) bool { return slices.ContainsFunc(worker, i.Same) }); i >= 0 {
			c.fail("the listening socket is still held by a worker: close it in the child after fork (or let it be close-on-exec)",
				"the restart does not listen: the listening socket is still held by %s; %v", first.described(holders[i:i+1]), whyNot(err))
		}
	}
	c.fail("bind gives EADDRINUSE while a connection of the old server lives: set SO_REUSEADDR to 1 on every listening socket, before bind",
		"the restart does not listen while an old worker converses: %v", whyNot(err))
}
