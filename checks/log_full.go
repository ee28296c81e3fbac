// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
)

// To wait for the reader of the log is a policy: most servers do, and some must
// not serve what they cannot log. To need SIGKILL, or never to recover, is none.
var logFull = judge.Check{
	Name:    "log-full",
	Meaning: "a full log may hold it up, but SIGTERM ends it, and it serves when the log is read again",
	Defects: []string{"blocks-on-log"},
	Run: func(c *judge.Case) {
		s := c.Start("")
		mustLog(c, s)
		fillLog(c, s)
		const clients = 3 // the first may be served before its line has to be written
		served := 0
		var err error
		for served < clients && err == nil {
			if err = c.Visit(0); err == nil {
				served++
			}
		}
		switch {
		case err == nil:
			c.Note("it serves on while nobody reads its log")
		case errors.Is(err, judge.ErrBusy):
			c.Fail("wait until the log can be written, or go on without the line: to try again at once, without end, takes a processor",
				"nobody reads its log, and a client is not served: %v", err)
		default:
			c.Note("while nobody reads its log it serves %d clients and then none", served)
		}
		for _, output := range outputs(s) {
			c.Must(output.Drain(c.Context()))
		}
		s.MustSurvive("a log that nobody read for a while", "when the log is read again, nothing is left to wait for")
		s.AwaitWorkersEnd("its client left")

		fillLog(c, s)
		_ = c.Visit(0) // it may wait for its log from here on
		c.CloseConnections()
		c.AwaitRest()
		if !s.Listens() {
			c.Broken("the listener has ended before SIGTERM%s", s.HowItEnded())
		}
		head := s.Head()
		_, err = c.Lab.SignalAll(syscall.SIGTERM, c.Host.Matching("the first process", head.Same))
		c.Must(err)
		last, err := c.Until("the end of listening", func() (bool, string, error) {
			here, err := c.PortSockets()
			return len(here.In(rig.Listening)) == 0, here.In(rig.Listening).String(), err
		})
		if err != nil {
			c.Fail("an administrator's stop becomes a kill: write the log without waiting for its reader, or end by SIGTERM's default action",
				"while nobody reads its log, it listens on after SIGTERM: %s; %s", s.Describe(c.Holders(s.Listener.Inode)), last)
		}
		c.Note("SIGTERM ends it while nobody reads its log")
	},
}

// fillLog lets nobody read what the subject writes: its next write finds a full pipe.
func fillLog(c *judge.Case, s *judge.Instance) {
	full := 0
	for _, output := range outputs(s) {
		switch err := output.Fill(c.Context()); {
		case err == nil:
			full++
		case !errors.Is(err, rig.ErrEnded): // a stream that it has closed
			c.Must(err)
		}
	}
	if full == 0 {
		c.Broken("the subject has closed stdout and stderr")
	}
}
