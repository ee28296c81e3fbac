// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"forkrig/dialogue"
	"forkrig/judge"
)

var slowReader = judge.Check{
	Name:    "slow-reader",
	Meaning: "a client that reads late gets every byte",
	Defects: []string{"short-write"},
	Needs:   []dialogue.Ability{dialogue.Bulk},
	Run: func(c *judge.Case) {
		c.SmallBuffers()
		s := c.Start("")
		k := c.MustDial(0)
		c.MustServe(k.Exchange())
		said := k.Fill()
		if err := k.ReadBack(said); err != nil {
			c.Fail("write the rest when there is room: write returns a short count or EAGAIN when the socket buffer is full",
				"a client reads the answer of %d bytes late: %v", len(said), err)
		}
		for range writeRounds {
			again := k.Fill()
			s.PauseServing(k)
			if err := k.ReadBack(again); err != nil {
				c.Fail("write the rest in a loop: a signal makes write return a short count",
					"a client reads the answer of %d bytes late, and the worker was stopped and continued: %v", len(again), err)
			}
		}
		c.MustServe(k.Finish())
		c.Note("the client got all of %d bytes, and again with the worker stopped and continued %d times", len(said), writeRounds*judge.SignalTimes)
	},
}

// writeRounds is how often a client reads late while its worker is stopped and continued.
// A write that has sent a part then returns a short count; the kernel restarts a write that
// has sent nothing (signal(7)). Which of the two happens depends on how the bytes came, so
// once is not enough.
const writeRounds = 3
