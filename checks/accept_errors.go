// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"
	"syscall"

	"forkrig/judge"
	"forkrig/rig/fault"
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
	var ends, tried []string
	errnos := []struct {
		name  string
		errno syscall.Errno
	}{{"ECONNABORTED", syscall.ECONNABORTED}, {"EPROTO", syscall.EPROTO}, {"ENFILE", syscall.ENFILE},
		{"EMFILE", syscall.EMFILE}, {"ENOBUFS", syscall.ENOBUFS}}
	for _, e := range errnos {
		tried = append(tried, e.name)
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
			c.Skip("the subject calls neither accept nor accept4")
		}
		if c.Visit(0) == nil {
			continue
		}
		// It may be ending, or listen again in a moment.
		if s.ListensOn() {
			if err := c.Visit(0); err != nil {
				c.Fail("an error of accept concerns one connection or a short lack of resources: call accept again",
					"after accept failed with %s, a client is not served: %v", e.name, err)
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
		c.Fail("an error of accept must not end the listener: call it again, with a pause after ENFILE, EMFILE, ENOBUFS and ENOMEM",
			"the listener ends when accept fails with %s", strings.Join(ends, ", "))
	}
	session.Clear()
	c.KillSubject()
	c.Note("the listener survived %s from accept", strings.Join(tried, ", "))
}

// outOfDescriptors leaves the listener no free descriptor, so that accept fails with EMFILE,
// and looks at how the listener waits. An injected EMFILE would not show it: the real one
// comes again at once, until a descriptor is free.
func outOfDescriptors(c *judge.Case) {
	s := c.Start("")
	c.MustServe(c.Visit(0))
	s.AwaitWorkersEnd("the client left")
	c.AwaitRest()
	listeners := s.Listeners()
	lift := c.Apply(fault.NoDescriptors{Targets: c.Targets("the listener", listeners)})
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
	loop := busyLoop(c, s, listeners)
	for _, k := range waiting {
		if inode, err := k.ServerInode(); err == nil && inode == 0 {
			unserved++
		}
	}
	lift()
	switch {
	case !s.ListensOn():
		c.Fail("a lack of descriptors must not end the listener: log EMFILE, wait a moment and call accept again", "EMFILE from accept ends the listener%s", s.HowItEnded())
	case loop != "":
		c.Fail("the connection stays in the backlog, so accept and poll return at once: pause after EMFILE",
			"the listener has no free descriptor and is in a busy loop: %s", loop)
	case unserved == 0:
		c.Broken("the limit on descriptors did not keep the listener from accepting, so nothing is proved")
	}
	for _, k := range waiting {
		if err := k.AwaitAccepted(); err != nil {
			c.Fail("no event says that descriptors are free again: after EMFILE call accept again when a timer ends",
				"descriptors are free again, and a client in the backlog is not accepted: %v", judge.FirstLine(err))
		}
		k.Close()
	}
	s.MustSurvive("EMFILE", "the listener does not accept after EMFILE: wait a moment and call accept again")
	c.Note("it waits while it has no free descriptor, and serves clients afterwards")
}
