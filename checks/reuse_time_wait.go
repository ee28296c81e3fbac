package checks

import (
	"fmt"

	"forkrig/rig"
)

var reuseTimeWait = Check{
	Name:    "reuse-time-wait",
	Meaning: "a restart binds while its port has connections in TIME_WAIT",
	Defects: []string{"no-reuseaddr", "zero-reuseaddr"},
	binds:   true,
	run: func(c *Case) {
		c.start("")
		clients := c.held(3)
		// The side that closes first gets the TIME_WAIT. A server that is killed
		// closes first, and each client waits for the end of its stream.
		c.killSubject()
		for _, k := range clients {
			rest := make([]byte, 1<<10)
			_, _ = k.read(rest) // the end, or what a greeting server had sent before it
			k.close()
		}
		last, err := c.until("TIME_WAIT and nothing else on the port", func() (bool, string, error) {
			here, err := c.onPort()
			return len(here) > 0 && len(here) == len(here.In(rig.TimeWait)), here.String(), err
		})
		if err != nil {
			c.broken("no TIME_WAIT on the port before the restart: %s", last)
		}
		s, err := c.tryStart()
		here, listErr := c.onPort()
		c.must(listErr)
		if len(here.In(rig.TimeWait)) == 0 {
			c.broken("no TIME_WAIT is left on the port after the restart, so that it proves nothing")
		}
		if err != nil {
			c.fail("bind gives EADDRINUSE for up to 60 s: set SO_REUSEADDR to 1 on every listening socket, before bind",
				"the restart does not listen while the port has %d connections in TIME_WAIT: %v%s",
				len(here.In(rig.TimeWait)), whyNot(err), c.withoutTimeWait())
		}
		s.converses("the restarted subject listens and does not serve")
		c.note("listens again beside %d connections in TIME_WAIT", len(here.In(rig.TimeWait)))
	},
}

// withoutTimeWait says whether the subject starts once TIME_WAIT is gone, which
// shows that it was the reason.
func (c *Case) withoutTimeWait() string {
	c.killSubject()
	if err := c.host.Destroy(func(k rig.Socket) bool { return k.Local.Port() == c.subject.port() && k.State == rig.TimeWait }); err != nil {
		return ""
	}
	if _, err := c.tryStart(); err != nil {
		return fmt.Sprintf("; without them it does not either: %v", whyNot(err))
	}
	return "; without them it does"
}

// onPort returns the sockets of the subject's host on the subject's port.
func (c *Case) onPort() (rig.Sockets, error) {
	sockets, err := c.host.Sockets()
	return sockets.On(c.subject.port()), err
}
