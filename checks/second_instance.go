// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"slices"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var secondInstance = judge.Check{
	Name:    "second-instance",
	Meaning: "a second instance on the same port is refused while the first listens, and says so",
	Defects: []string{"reuseport"},
	Binds:   true,
	Run: func(c *judge.Case) {
		first := c.Start("")
		c.MustServe(c.Visit(0))
		before, err := c.Host.Sockets()
		c.Must(err)
		command, err := c.Command(judge.Launch{})
		c.Must(err)
		c.Did(scorecard.SecondInstance)
		second, err := c.Host.Start(command)
		c.Must(err)

		// It has ended, or listens, or has come to rest and does neither.
		var more rig.Sockets
		_, ended := c.Until("the second instance to end or to listen", func() (bool, string, error) {
			now, err := c.Host.Sockets()
			more = newListeners(before, now)
			return len(more.On(c.Subject.ListenPort())) > 0 || !second.Running(), now.In(rig.Listening).String(), err
		})
		switch {
		case len(more.On(c.Subject.ListenPort())) > 0:
			c.Fail("set SO_REUSEADDR alone: with SO_REUSEPORT both instances get clients "+
				"(on Linux SO_REUSEADDR|SO_REUSEPORT is the same number as SO_REUSEPORT)",
				"two instances listen on the same port: %v", more)
		case len(more) > 0 && ended != nil && len(before.In(rig.Listening)) == 1:
			c.Fail("check the results of bind, listen and getsockname: clients do not connect to another port",
				"the second instance listens on another port: %v", more)
		case !slices.ContainsFunc(listening(c), func(k rig.Socket) bool { return k.Inode == first.Listener.Inode }):
			c.Fail("check the results of bind and listen, and exit on an error: the second instance stops the first one",
				"the first instance no longer listens")
		}
		checkErrorMessage(c, first, second, ended == nil)
		first.MustSurvive("a second start", "exit when bind or listen fails: a second start must not disturb the first instance")
	},
}

// checkErrorMessage checks that the second instance reports its failure.
func checkErrorMessage(c *judge.Case, first *judge.Instance, second *rig.Process, ended bool) {
	ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(rig.Settling))
	defer cancel()
	if ended {
		_ = second.Stdout.AwaitEnd(ctx) // a child that it left may hold it open
		_ = second.Stderr.AwaitEnd(ctx)
	}
	silent := second.Stdout.Total()+second.Stderr.Total() == 0
	switch {
	case !ended && silent:
		c.Fail("print the error of bind or listen (not only to syslog) and exit: the second instance looks as if it serves clients",
			"the second instance runs on without listening, and prints nothing")
	case !ended:
		c.Note("the second instance runs on without listening, and reports that")
	case !first.Process.Running():
		c.Note("the second instance went to the background and ended there")
	default:
		exit, err := second.Wait(c.Context())
		c.Must(err)
		if exit.Success() && silent {
			c.Fail("print the error of bind or listen and exit with a status other than 0, which means success",
				"the second instance ended with status 0 and printed nothing")
		}
		c.Note("the second instance ends: %v", exit)
	}
}

// listening returns the sockets that listen on the subject's port.
func listening(c *judge.Case) rig.Sockets {
	here, err := c.PortSockets()
	c.Must(err)
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
