package checks

import (
	"errors"
	"syscall"

	"forkrig/rig"
)

// To wait for the reader of the log is a policy: most servers do, and some must
// not serve what they cannot log. To need SIGKILL, or never to recover, is none.
var logFull = Check{
	Name:    "log-full",
	Meaning: "a log that nobody reads may hold it up, but SIGTERM ends it, and it serves when the log is read again",
	Defects: []string{"blocks-on-log"},
	run: func(c *Case) {
		s := c.start("")
		c.mustLog(s)
		c.fillLog(s)
		const clients = 3 // the first may be served before its line has to be written
		served := 0
		var err error
		for served < clients && err == nil {
			if err = c.visit(0); err == nil {
				served++
			}
		}
		switch {
		case err == nil:
			c.note("it serves on while nobody reads its log")
		case errors.Is(err, errBusy):
			c.fail("wait until the log can be written, or go on without the line: to try again at once, without end, takes a processor",
				"nobody reads its log, and a client is not served: %v", err)
		default:
			c.note("while nobody reads its log it serves %d clients and then none", served)
		}
		for _, output := range s.outputs() {
			c.must(output.Drain(c.tb.Context()))
		}
		s.survives("a log that nobody read for a while", "when the log is read again, nothing is left to wait for")
		s.workersEnd("its client left")

		c.fillLog(s)
		_ = c.visit(0) // it may wait for its log from here on
		c.sendHome()
		c.settled()
		if !s.listens() {
			c.broken("the listener has ended before SIGTERM%s", s.howItEnded())
		}
		head := s.head()
		_, err = c.lab.SignalAll(syscall.SIGTERM, c.host.Matching("the first process", head.Same))
		c.must(err)
		last, err := c.until("the end of listening", func() (bool, string, error) {
			here, err := c.onPort()
			return len(here.In(rig.Listening)) == 0, here.In(rig.Listening).String(), err
		})
		if err != nil {
			c.fail("an administrator's stop becomes a kill: write the log without waiting for its reader, or end by SIGTERM's default action",
				"while nobody reads its log, it listens on after SIGTERM: %s; %s", s.described(c.holders(s.listener.Inode)), last)
		}
		c.note("SIGTERM ends it while nobody reads its log")
	},
}

// fillLog lets nobody read what the subject writes: its next write finds a full pipe.
func (c *Case) fillLog(s *server) {
	full := 0
	for _, output := range s.outputs() {
		switch err := output.Fill(c.tb.Context()); {
		case err == nil:
			full++
		case !errors.Is(err, rig.ErrEnded): // a stream that it has closed
			c.must(err)
		}
	}
	if full == 0 {
		c.broken("the subject has closed stdout and stderr")
	}
}
