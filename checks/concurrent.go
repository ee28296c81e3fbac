package checks

import "errors"

var concurrent = Check{
	Name:    "concurrent",
	Meaning: "a silent client holds up nobody",
	Defects: []string{"serial", "blocking-wait"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		silent := c.mustDial(0)
		c.mustServe(silent.accepted())
		c.settled()
		alone, err := s.workersAlive()
		c.must(err)
		if err := c.visit(1); err != nil {
			if errors.Is(err, errStuck) {
				c.fail("one client that says nothing keeps all others out: give each connection a process or thread of its own, or wait for all of them with poll",
					"a client is not served while another one is connected and silent: %v", err)
			}
			c.broken("the client that speaks is not served: %v", err)
		}
		// A worker has ended, and another one lives.
		s.workersDownTo(len(alone))
		c.settled() // what the listener does about it has been done, or goes on
		if err := c.visit(1); err != nil {
			c.fail("call waitpid with WNOHANG: without it a handler for SIGCHLD waits until all workers have ended",
				"after a worker has ended, and while another one lives, a client is not served: %v", err)
		}
		if err := silent.finish(); err != nil {
			c.fail("a client may take its time", "the silent client is not served when it speaks at last: %v", err)
		}
	},
}

// workersDownTo waits until no more than n processes of workers live.
func (s *server) workersDownTo(n int) {
	_, err := s.c.until("the end of a worker", func() (bool, string, error) {
		left, err := s.workersAlive()
		return len(left) <= n, left.String(), err
	})
	if err != nil {
		s.c.broken("the worker of a client that left does not end: %v", firstLine(err))
	}
}
