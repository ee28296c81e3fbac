// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/inject"
)

var acceptErrors = judge.Check{
	Name:    "accept-errors",
	Meaning: "no error of accept ends the listener, and being out of descriptors does not make it spin",
	Defects: []string{"exit-on-accept-error", "spin-on-emfile"},
	Clients: 2,
	Run: func(c *judge.Case) {
		injectedAcceptErrors(c)
		outOfDescriptors(c)
	},
}

// acceptCalls are the ways to accept.
var acceptCalls = []inject.Call{"accept", "accept4"}

// injectedAcceptErrors lets accept fail once with each of the errors that a
// server meets in a long life. Those of one connection, such as ECONNABORTED, do
// not come about on Linux by what a client does (accept(2)).
func injectedAcceptErrors(c *judge.Case) {
	s, session := c.StartTrapped(acceptCalls...)
	c.MustServe(c.Visit(0))
	var ends []string
	errnos := []struct {
		name  string
		errno syscall.Errno
	}{{"ECONNABORTED", syscall.ECONNABORTED}, {"EPROTO", syscall.EPROTO}, {"ENFILE", syscall.ENFILE},
		{"EMFILE", syscall.EMFILE}, {"ENOBUFS", syscall.ENOBUFS}}
	for _, e := range errnos {
		c.Must(session.Set(inject.Rule{Calls: acceptCalls, Nth: 1, Errno: e.errno}))
		// The accept that waits was called before. The next one fails, and the
		// client waits for the one after that.
		var err error
		for range 3 {
			if err = c.Visit(0); err != nil || len(session.Hits()) > 0 {
				break
			}
		}
		if len(session.Hits()) == 0 {
			c.MustServe(err)
			c.Skip("it accepts by neither accept nor accept4")
		}
		if c.Visit(0) == nil {
			continue
		}
		// It may be ending, or listen again in a moment.
		if s.ListensOn() {
			if err := c.Visit(0); err != nil {
				c.Fail("an error of accept concerns one connection, or passes: call it again",
					"after %s from accept a client is not served: %v", e.name, err)
			}
			continue
		}
		ends = append(ends, e.name)
		session.Clear()
		c.KillSubject()
		again, err := session.Again(c.Context())
		c.Must(err)
		session = again
		s, err = c.AwaitTrapped(session)
		c.Must(err)
	}
	if len(ends) > 0 {
		c.Fail("accept fails when a client gave up (ECONNABORTED, EPROTO) and when the machine is short of something (ENFILE, EMFILE, ENOBUFS, ENOMEM): log it, wait a moment in the latter case, and go on",
			"%s from accept ends the listener", strings.Join(ends, ", "))
	}
	session.Clear()
	c.KillSubject()
	c.Note("%d errors of accept survived", len(errnos))
}

// outOfDescriptors takes the listener's last descriptor, which the kernel then
// answers with EMFILE, and looks at how it waits for better times. An injected
// EMFILE would not show it: the real one comes again at once, for ever.
func outOfDescriptors(c *judge.Case) {
	s := c.Start("")
	c.MustServe(c.Visit(0))
	s.AwaitWorkersEnd("its client left")
	c.AwaitRest()
	listeners := s.Listeners()
	var restores []func() error
	for _, info := range listeners {
		fds, err := c.Host.FDs(info)
		c.Must(err)
		restore, err := c.Host.SetLimit(info, rig.OpenFiles, judge.LowestFree(fds))
		c.Must(err)
		restores = append(restores, restore)
	}
	// An accept that waits has its descriptor already (it is reserved before the
	// call blocks), so each thread that waits in one may still accept a client.
	// A server that stops listening for a while refuses them.
	var waiting []*judge.Conn
	unserved := 0
	acceptors := 0
	for _, info := range listeners {
		acceptors += info.Threads
	}
	for range acceptors + 2 {
		k, err := c.Dial(1)
		if err != nil {
			unserved++
			continue
		}
		waiting = append(waiting, k)
	}
	spins := spins(c, s, listeners)
	for _, k := range waiting {
		if inode, err := k.ServerInode(); err == nil && inode == 0 {
			unserved++
		}
	}
	for _, restore := range restores {
		c.Must(restore())
	}
	switch {
	case !s.ListensOn():
		c.Fail("the listener must outlive a shortage: log EMFILE, wait a moment, and go on", "EMFILE from accept ends the listener%s", s.HowItEnded())
	case spins != "":
		c.Fail("the connection that accept could not take still waits, so that accept, or poll before it, returns at once for ever: let go of it for a moment after EMFILE",
			"out of descriptors the listener spins: %s", spins)
	case unserved == 0:
		c.Broken("the listener's limit on descriptors kept no connection from being accepted, so that nothing is proved")
	}
	for _, k := range waiting {
		if err := k.AwaitAccepted(); err != nil {
			c.Fail("after EMFILE the listener must go on to accept, also when nobody tells it that the shortage is over",
				"descriptors are there again, and a client that waited is not accepted: %v", judge.FirstLine(err))
		}
		k.End()
	}
	s.MustSurvive("EMFILE", "after EMFILE the listener must go on to accept")
	c.Note("out of descriptors it waits, and serves again afterwards")
}
