// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"fmt"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var reuseTimeWait = judge.Check{
	Name:    "reuse-time-wait",
	Meaning: "a restart binds while its port has connections in TIME_WAIT",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr"},
	Binds:   true,
	Run: func(c *judge.Case) {
		c.Start("")
		clients := c.Hold(3)
		// The side that closes first gets the TIME_WAIT. A server that is killed
		// closes first, and each client waits for the end of its stream.
		c.KillSubject()
		resets := 0
		for _, k := range clients {
			rest := make([]byte, 1<<10)
			_, err := k.ReadFull(rest) // the end, or what a greeting server had sent before it
			if errors.Is(err, syscall.ECONNRESET) {
				resets++
			}
			k.Close()
		}
		last, err := c.Until("TIME_WAIT and nothing else on the port", func() (bool, string, error) {
			here, err := c.PortSockets()
			return len(here) > 0 && len(here) == len(here.In(rig.TimeWait)), here.String(), err
		})
		if err != nil && resets == len(clients) {
			c.Skip("the check needs connections that end with FIN: this subject resets them (clean-close judges that), and the port has no TIME_WAIT")
		}
		if err != nil {
			c.Broken("no TIME_WAIT on the port before the restart: %s", last)
		}
		_, err = c.TryStart(judge.Launch{})
		here, listErr := c.PortSockets()
		c.Must(listErr)
		if len(here.In(rig.TimeWait)) == 0 {
			c.Broken("no TIME_WAIT is left on the port after the restart, so nothing is proved")
		}
		if err != nil {
			c.KeepEnd()
			c.Fail("set SO_REUSEADDR to 1 on every listening socket before bind: otherwise bind fails with EADDRINUSE for up to 60 s",
				"the restarted subject does not listen while the port has %s in TIME_WAIT: %v%s",
				connections(len(here.In(rig.TimeWait))), judge.StartFailure(err), withoutTimeWait(c))
		}
		c.MustServe(c.Visit(0))
		c.Note("it listens again while the port has %s in TIME_WAIT", connections(len(here.In(rig.TimeWait))))
	},
}

// withoutTimeWait says whether the subject starts once TIME_WAIT is gone, which
// shows that it was the reason.
func withoutTimeWait(c *judge.Case) string {
	c.KillSubject()
	_, err := fault.Apply(c.Context(), c.Lab, fault.Destroy{Host: c.Host, What: "connections in TIME_WAIT", Match: func(k rig.Socket) bool {
		return k.Local.Port() == c.Subject.ListenPort() && k.State == rig.TimeWait
	}})
	if err != nil {
		return ""
	}
	if _, err := c.TryStart(judge.Launch{}); err != nil {
		return fmt.Sprintf("; without them it does not listen either: %v", judge.StartFailure(err))
	}
	return "; without them it listens"
}
