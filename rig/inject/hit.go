// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"fmt"
	"syscall"
	"time"
)

// Hit is a call that a rule hit.
type Hit struct {
	Call   Call
	PID    int // the process, not the thread
	In     Where
	Rule   int // which of the rules, from 0 on
	Nth    int // which of the calls that the rule matches, from 1 on
	At     time.Time
	Errno  syscall.Errno  // what the call failed with, or 0
	Signal syscall.Signal // what was sent to the thread, or 0
}

// String returns the hit in a few words.
func (h Hit) String() string {
	text := fmt.Sprintf("%s %d (%v, pid %d)", h.Call, h.Nth, h.In, h.PID)
	if h.Signal != 0 {
		text += fmt.Sprintf(" got signal %d (%v)", int(h.Signal), h.Signal)
	}
	if h.Errno != 0 {
		text += fmt.Sprintf(" failed with errno %d (%v)", int(h.Errno), h.Errno)
	}
	return text
}

// Count is how often a call was made.
type Count struct{ Listener, Workers int }

func (c *Count) add(in Where, n int) {
	if in == Listener {
		c.Listener += n
	} else {
		c.Workers += n
	}
}

func (c Count) in(where Where) int {
	switch where {
	case Listener:
		return c.Listener
	case Workers:
		return c.Workers
	}
	return c.Listener + c.Workers
}
