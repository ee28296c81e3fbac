package checks

import (
	"errors"
	"slices"

	"forkrig/rig"
)

var finOnClose = Check{
	Name:    "fin-on-close",
	Meaning: "when a worker ends, its client sees the end of the stream",
	Defects: []string{"parent-keeps-conn"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		clients := c.held(2)
		k := clients[0]
		worker := s.worker(k)
		later := s.worker(clients[1])
		inode, err := k.serverInode()
		c.must(err)

		// The later worker came when the first connection was open.
		_, _, err = c.lab.KillTogether(c.tb.Context(), c.host.Matching("the worker", func(i rig.ProcessInfo) bool {
			return slices.ContainsFunc(worker, i.Same) && !slices.ContainsFunc(later, i.Same)
		}))
		c.must(err)
		buffer := make([]byte, 1<<10)
		for err == nil {
			_, err = k.read(buffer) // what a greeting server had sent, and then the end
		}
		if errors.Is(err, errStuck) {
			c.fail("a socket ends when its last descriptor is closed: close the connection in the parent after fork, and earlier connections in the child",
				"the client sees no end of the stream after its worker ended: the connection is still open in %s", s.described(c.holders(inode)))
		}
		c.note("the client of the killed worker sees: %v", err)
	},
}
