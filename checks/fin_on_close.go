// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"slices"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var finOnClose = judge.Check{
	Name:    "fin-on-close",
	Meaning: "when a worker ends, its client sees the end of the stream",
	Defects: []string{"parent-keeps-conn"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		clients := c.Hold(2)
		k := clients[0]
		worker := s.Worker(k)
		later := s.Worker(clients[1])
		inode, err := k.ServerInode()
		c.Must(err)

		// The later worker came when the first connection was open.
		worker = slices.DeleteFunc(worker, func(i rig.ProcessInfo) bool { return slices.ContainsFunc(later, i.Same) })
		family, err := s.Family(worker)
		c.Must(err)
		c.Apply(fault.Kill{Targets: c.Targets("the worker", family)})
		buffer := make([]byte, 1<<10)
		for err == nil {
			_, err = k.ReadFull(buffer) // what a greeting server had sent, and then the end
		}
		if errors.Is(err, judge.ErrQuiescent) {
			c.Fail("the kernel sends FIN at the last close: close the connection in the parent, and older ones in the child",
				"the worker ended, and its client sees no end of the stream: the connection is still open in %s", s.Describe(c.Holders(inode)))
		}
		c.Note("the client of the killed worker sees: %v", err)
	},
}
