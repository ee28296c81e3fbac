// SPDX-License-Identifier: Apache-2.0

package checks

import "forkrig/judge"

var slowReader = judge.Check{
	Name:    "slow-reader",
	Meaning: "a client that reads late gets all",
	Defects: []string{"short-write"},
	Needs:   judge.Dialogue,
	Run: func(c *judge.Case) {
		c.SmallBuffers()
		s := c.Start("")
		k := c.MustDial(0)
		c.MustServe(k.Exchange())
		said := k.Fill()
		if err := k.ReadBack(said); err != nil {
			c.Fail("a write to a connection that has no room takes a part only, or gives EAGAIN: write the rest when there is room",
				"of %d bytes that a client read late: %v", len(said), err)
		}
		pauses := 0
		for range partlyWritten {
			again := k.Fill()
			_, n := c.PauseServing(s, k)
			pauses += n
			if err := k.ReadBack(again); err != nil {
				c.Fail("a write that a signal interrupts takes a part only: write the rest in a loop",
					"of %d bytes that a client read late, while the worker was stopped and continued: %v", len(again), err)
			}
		}
		c.MustServe(k.Finish())
		c.Note("all of %d bytes, and of as many with the worker stopped and continued %d times", len(said), pauses)
	},
}

// partlyWritten is how often a worker is stopped and continued while it waits for
// room. That makes a write return what it has sent of its bytes, and one that has sent
// none is begun again by the kernel as if nothing had happened (signal(7)): how
// much that is depends on how the bytes came, so that once is not enough.
const partlyWritten = 3
