// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"

	"forkrig/judge"
	"forkrig/scorecard"
)

var concurrent = judge.Check{
	Name:    "concurrent",
	Meaning: "a silent client does not hold up other clients",
	Defects: []string{"serial", "blocking-wait"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		silent := c.MustDial(0)
		c.MustServe(silent.AwaitAccepted())
		c.AwaitRest()
		c.Did(scorecard.SilentClient)
		alone, err := s.Workers()
		c.Must(err)
		if err := c.Visit(1); err != nil {
			if errors.Is(err, judge.ErrQuiescent) {
				c.Fail("use a process or a thread per connection, or poll all connections: a silent client blocks all others",
					"a client is not served while another one is connected and silent: %v", err)
			}
			c.MustServe(err)
		}
		// A worker has ended, and another one lives.
		if _, err := s.AwaitWorkers(len(alone)); err != nil {
			c.Fail("read until read returns 0 or an error, and exit then: a worker outlives its client",
				"the worker of a client that left does not end: %v", judge.FirstLine(err))
		}
		c.AwaitRest() // the listener has reaped the worker, or is blocked
		if err := c.Visit(1); err != nil {
			c.Fail("call waitpid with WNOHANG: without it the listener waits until another worker ends",
				"after a worker has ended, and while another one lives, a client is not served: %v", err)
		}
		if err := silent.Finish(); err != nil && !c.EndsSilent(silent) {
			c.Fail("wait until the client sends or leaves: the subject gives up on a silent one",
				"the silent client is not served when it sends its first message: %v", err)
		}
	},
}
