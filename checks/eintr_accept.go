package checks

import (
	"strings"
	"syscall"

	"forkrig/rig"
)

var eintrAccept = Check{
	Name:    "eintr-accept",
	Meaning: "a signal during accept does not end or stall the listener",
	Defects: []string{"exit-on-eintr"},
	run: func(c *Case) {
		s := c.start("")
		c.mustServe(c.visit(0))
		listeners := s.listeners()
		signals := s.neutral()
		if len(signals) == 0 {
			c.note("it catches no signal that may be sent to any server")
		}
		var woken uint64
		survived := func(what string) {
			s.survives(what, "accept gives EINTR when a handler without SA_RESTART has run: call it again")
			s.workersEnd("its client left")
			c.asleep(listeners)
		}
		for _, signal := range signals {
			for range signalTimes {
				woken += c.send(signal, listeners)
				if !s.listens() {
					break
				}
			}
			survived(rig.SignalName(signal) + " during accept")
		}
		// The real thing: a worker that ends while the listener waits.
		before := c.wakeups(listeners)
		for range signalTimes {
			survived("the end of a worker")
		}
		ends := c.wakeups(listeners) - before
		paused := c.pause(listeners)
		survived("SIGSTOP and SIGCONT")
		if woken+ends+paused == 0 {
			c.broken("no signal woke the listener, so that nothing is proved")
		}
		c.note("%d signals %sdirected at the sleeping listener woke it %d times, a stop and continue %d times", signalTimes*len(signals), names(signals), woken, paused)
	},
}

func names(signals []syscall.Signal) string {
	if len(signals) == 0 {
		return ""
	}
	parts := make([]string, len(signals))
	for i, s := range signals {
		parts[i] = rig.SignalName(s)
	}
	return "(" + strings.Join(parts, ", ") + ") "
}
