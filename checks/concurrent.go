// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"

	"forkrig/judge"
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
		alone, err := s.WorkersAlive()
		c.Must(err)
		if err := c.Visit(1); err != nil {
			if errors.Is(err, judge.ErrQuiescent) {
				c.Fail("one client that says nothing keeps all others out: give each connection a process or thread of its own, or wait for all of them with poll",
					"a client is not served while another one is connected and silent: %v", err)
			}
			c.Broken("the client that speaks is not served: %v", err)
		}
		// A worker has ended, and another one lives.
		workersDownTo(s, len(alone))
		c.AwaitRest() // what the listener does about it has been done, or goes on
		if err := c.Visit(1); err != nil {
			c.Fail("call waitpid with WNOHANG: without it a handler for SIGCHLD waits until all workers have ended",
				"after a worker has ended, and while another one lives, a client is not served: %v", err)
		}
		if err := silent.Finish(); err != nil {
			c.Fail("a client may take its time", "the silent client is not served when it speaks at last: %v", err)
		}
	},
}

// workersDownTo waits until no more than n processes of workers live.
func workersDownTo(s *judge.Instance, n int) {
	_, err := s.Case.Until("the end of a worker", func() (bool, string, error) {
		left, err := s.WorkersAlive()
		return len(left) <= n, left.String(), err
	})
	if err != nil {
		s.Case.Broken("the worker of a client that left does not end: %v", judge.FirstLine(err))
	}
}
