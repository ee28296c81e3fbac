// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/judge"
	"forkrig/rig/fault"
)

var logClosed = judge.Check{
	Name:    "log-closed",
	Meaning: "the subject still serves clients when the reader of its log has gone",
	Defects: []string{"dies-of-log"},
	Long:    true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		mustLog(c, s)
		c.Apply(fault.ClosedOutput{Of: s.Process})
		const clients = 3
		for range clients {
			s.MustSurvive("a log without a reader",
				"serve on where write to the log fails with EPIPE: the reader of a log may go")
		}
		s.AwaitWorkersEnd("the client left")
		c.Note("%d clients are served after the reader of stdout and stderr has gone", clients)
	},
}

// mustLog skips the check where the subject writes nothing to stdout and stderr
// when a client comes: it has no log there.
func mustLog(c *judge.Case, s *judge.Instance) {
	before := linesWritten(s)
	c.MustServe(c.Visit(0))
	wait := c.UntilRest
	if c.MayHaveTimer(s.Own) { // it may write a line when the timer ends
		wait = c.Until
	}
	_, err := wait("a line about a client", func() (bool, string, error) { return linesWritten(s) > before, "", nil })
	if judge.Hopeless(err) { // one that is never at rest does something else meanwhile
		c.Skip("the check needs a line about a client on stdout or stderr: the subject writes none")
	}
	c.Must(err)
	s.AwaitWorkersEnd("the client left")
	c.AwaitRest()
}
