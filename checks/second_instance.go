package checks

import (
	"context"
	"slices"

	"forkrig/rig"
)

var secondInstance = Check{
	Name:    "second-instance",
	Meaning: "a second instance on the same port is refused while the first listens, and says so",
	Defects: []string{"reuseport"},
	binds:   true,
	run: func(c *Case) {
		first := c.start("")
		c.mustServe(c.visit(0))
		before, err := c.host.Sockets()
		c.must(err)
		second, err := c.host.Start(c.subject.At(c.address))
		c.must(err)

		// It has ended, or listens, or has come to rest and does neither.
		var more rig.Sockets
		_, ended := c.until("the second instance to give up", func() (bool, string, error) {
			now, err := c.host.Sockets()
			more = newListeners(before, now)
			return len(more.On(c.subject.port())) > 0 || !second.Running(), now.In(rig.Listening).String(), err
		})
		switch {
		case len(more.On(c.subject.port())) > 0:
			c.fail("with SO_REUSEPORT the kernel spreads the clients over both: set SO_REUSEADDR alone (SO_REUSEADDR|SO_REUSEPORT is no mask: on Linux it is SO_REUSEPORT)",
				"two instances listen on the same port: %v", more)
		case len(more) > 0 && ended != nil && len(before.In(rig.Listening)) == 1:
			c.fail("nobody looks for it there: check what bind and listen return, and what getsockname says",
				"the second instance listens on another port: %v", more)
		case !slices.ContainsFunc(c.listening(), func(k rig.Socket) bool { return k.Inode == first.listener.Inode }):
			c.fail("a second start must not disturb the first", "the first instance no longer listens")
		}
		c.says(first, second, ended == nil)
		first.converses("a second start disturbs the first instance")
	},
}

// says checks that the second instance does not fail in silence.
func (c *Case) says(first *server, second *rig.Process, ended bool) {
	ctx, cancel := context.WithTimeout(c.tb.Context(), rig.Scaled(rig.Settling))
	defer cancel()
	if ended {
		_ = second.Stdout.AwaitEnd(ctx) // a child that it left may hold it open
		_ = second.Stderr.AwaitEnd(ctx)
	}
	silent := second.Stdout.Total()+second.Stderr.Total() == 0
	switch {
	case !ended && silent:
		c.fail("whoever started it believes that it serves: check what bind and listen return, print the error and end (a word to syslog alone is not seen here)",
			"the second instance runs on without listening, and says nothing")
	case !ended:
		c.note("the second instance runs on without listening, and says so")
	case !first.process.Running():
		c.note("the second instance went to the background and ended there")
	default:
		exit, err := second.Wait(c.tb.Context())
		c.must(err)
		if exit.Success() && silent {
			c.fail("whoever started it believes that it runs: check what bind and listen return, print the error and exit with a status other than 0",
				"the second instance ended with status 0 and said nothing")
		}
		c.note("the second instance: %v", exit)
	}
}

// listening returns the sockets that listen on the subject's port.
func (c *Case) listening() rig.Sockets {
	here, err := c.onPort()
	c.must(err)
	return here.In(rig.Listening)
}

// newListeners returns the listening sockets that were not there before.
func newListeners(before, now rig.Sockets) rig.Sockets {
	var more rig.Sockets
	for _, k := range now.In(rig.Listening) {
		if !slices.ContainsFunc(before, func(b rig.Socket) bool { return b.Inode == k.Inode }) {
			more = append(more, k)
		}
	}
	return more
}
