// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"slices"

	"forkrig/judge"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// A server may wait for the reader of its log: most do, and some must not serve what they
// cannot log. A server that needs SIGKILL, or never recovers, is wrong.
var logFull = judge.Check{
	Name:    "log-full",
	Meaning: "a full log may block the subject, but SIGTERM ends it, and it serves when the log is read again",
	Defects: []string{"blocks-on-log"},
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		mustLog(c, s)
		full := fault.FullOutput{Of: s.Process}
		drain := c.Apply(full)
		const clients = 3 // the first may be served before its line has to be written
		served := 0
		var waiting *judge.Conn
		var err error
		c.Briefly(func() {
			for served < clients && err == nil {
				if waiting, err = c.VisitOrStay(0); err == nil {
					served++
				}
			}
		})
		switch {
		case err == nil:
			c.Note("it serves clients while its log is full")
		case errors.Is(err, judge.ErrBusy):
			c.Fail("wait until the log is writable, or drop the line: the subject repeats the write in a busy loop",
				"the log is full, and a client is not served: %v", err)
		default:
			c.Note("while its log is full it serves %s, and then no more", scorecard.Counted(served, "client", "clients"))
		}
		drain()
		if waiting != nil {
			c.AwaitRest() // it has got what it was owed
			waiting.Leave()
		}
		s.MustSurvive("a full log that is read again", "go on when write to the log returns: the log is read again")
		s.AwaitWorkersEnd("the client left")

		c.Apply(full)
		c.Briefly(func() { _ = c.Visit(0) }) // it may wait for its log from here on
		c.CloseConnections()
		s.MustListen()
		s.Terminate()
		if last, err := c.AwaitNoListener(); err != nil {
			holders := c.Holders(s.Listener.Inode)
			if !slices.ContainsFunc(holders, s.IsOwn) {
				c.Note("while its log is full, SIGTERM ends the listener, and a worker still holds the listening socket")
				return
			}
			c.Fail("do not wait in write to the log, or keep the default action of SIGTERM: a full log delays the end",
				"while its log is full, it listens on after SIGTERM: %s; %s", s.Describe(holders), last)
		}
		c.Note("SIGTERM ends it while its log is full")
	},
}
