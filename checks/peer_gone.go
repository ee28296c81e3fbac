// SPDX-License-Identifier: Apache-2.0

package checks

import "forkrig/judge"

var peerGone = judge.Check{
	Name:    "peer-gone",
	Meaning: "clients that are gone before they are accepted, or before they are answered, do not end the listener",
	Defects: []string{"no-sigpipe"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		const cause = "close only the connection that fails with ECONNRESET or EPIPE: a client may go at any time"
		gone := min(5, int(s.Listener.SendQueue)) // the backlog may hold no more
		// Stopped, the listener accepts connections that are dead already.
		for _, leave := range []struct {
			what string
			act  func(*judge.Conn)
		}{
			{"a reset before accept", (*judge.Conn).Reset},
			{"a message and a reset before accept", func(k *judge.Conn) {
				_ = k.Ask() // the kernel takes it
				k.Reset()
			}},
			{"a message and a close before accept", func(k *judge.Conn) {
				_ = k.Ask()
				k.Close()
			}},
		} {
			thaw := s.Freeze()
			for range gone {
				leave.act(c.MustDial(1))
			}
			thaw()
			s.MustSurvive(leave.what, cause)
		}
		s.AwaitWorkersEnd("their clients left")
		c.Note("%d clients left before they were accepted", 3*gone)
	},
}
