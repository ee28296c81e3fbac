// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
)

// A server may wait for the reader of its log: most do, and some must not serve what they
// cannot log. A server that needs SIGKILL, or never recovers, is wrong.
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
			c.Note("it serves clients while its log is full")
		case errors.Is(err, judge.ErrBusy):
			c.Fail("the subject repeats the write in a busy loop: wait until the log is writable, or drop the line",
				"the log is full, and a client is not served: %v", err)
		default:
			c.Note("while its log is full it serves %d clients, and then no more", served)
		}
		for _, output := range outputs(s) {
			c.Must(output.Drain(c.Context()))
		}
		s.MustSurvive("a full log that is read again", "the log is writable again: continue when write returns")
		s.AwaitWorkersEnd("the client left")

		fillLog(c, s)
		_ = c.Visit(0) // it may wait for its log from here on
		c.CloseConnections()
		c.AwaitRest()
		if !s.Listens() {
			c.Broken("the listener ended before SIGTERM%s", s.HowItEnded())
		}
		head := s.Head()
		_, err = c.Lab.SignalAll(syscall.SIGTERM, c.Host.Matching("the first process", head.Same))
		c.Must(err)
		last, err := c.Until("the end of listening", func() (bool, string, error) {
			here, err := c.PortSockets()
			return len(here.In(rig.Listening)) == 0, here.In(rig.Listening).String(), err
		})
		if err != nil {
			c.Fail("a full log delays the end by SIGTERM: do not wait in write to the log, or keep the default action of SIGTERM",
				"while its log is full, it listens on after SIGTERM: %s; %s", s.Describe(c.Holders(s.Listener.Inode)), last)
		}
		c.Note("SIGTERM ends it while its log is full")
	},
}

// fillLog stops reading what the subject writes and fills the pipe: its next write blocks.
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
		c.Broken("the subject has closed stdout and stderr, so its log cannot be filled")
	}
}
