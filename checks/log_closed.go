package checks

import (
	"errors"

	"forkrig/rig"
)

var logClosed = Check{
	Name:    "log-closed",
	Meaning: "the subject serves on when whoever read its log is gone",
	Defects: []string{"dies-of-log"},
	run: func(c *Case) {
		s := c.start("")
		c.mustLog(s)
		for _, output := range s.outputs() {
			_, err := output.Close(c.tb.Context())
			c.must(err)
		}
		const clients = 3
		for range clients {
			s.survives("a log that nobody holds any more",
				"a write to a pipe without a reader gives EPIPE, and SIGPIPE ends a process that has no other wish: ignore SIGPIPE, and go on where the log cannot be written")
		}
		s.workersEnd("its client left")
		c.note("%d clients are served with stdout and stderr closed by their reader", clients)
	},
}

// outputs are what the rig reads of the subject.
func (s *server) outputs() []*rig.Output {
	return []*rig.Output{s.process.Stdout, s.process.Stderr}
}

// mustLog skips the check where the subject writes nothing to stdout and stderr
// when a client comes: it has no log there that anything could happen to.
func (c *Case) mustLog(s *server) {
	lines := func() (n int) {
		for _, output := range s.outputs() {
			n += output.Total()
		}
		return n
	}
	before := lines()
	c.mustServe(c.visit(0))
	_, err := c.until("a line about a client", func() (bool, string, error) { return lines() > before, "", nil })
	if errors.Is(err, errStuck) {
		c.skip("it writes nothing about its clients to stdout and stderr")
	}
	c.must(err)
	s.workersEnd("its client left")
	c.settled()
}
