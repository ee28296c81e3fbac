package checks

import (
	"strings"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/inject"
)

var acceptErrors = Check{
	Name:    "accept-errors",
	Meaning: "no error of accept ends the listener, and being out of descriptors does not make it spin",
	Defects: []string{"exit-on-accept-error", "spin-on-emfile"},
	clients: 2,
	run: func(c *Case) {
		c.injectedAcceptErrors()
		c.outOfDescriptors()
	},
}

// acceptCalls are the ways to accept.
var acceptCalls = []inject.Call{"accept", "accept4"}

// startTrapped starts the subject with the calls trapped.
func (c *Case) startTrapped(calls ...inject.Call) (*server, *inject.Session) {
	session, err := inject.Start(c.tb.Context(), c.host, c.subject.At(c.address), calls...)
	rig.SkipIfMissing(c.tb, err)
	s, err := c.awaitTrapped(session)
	c.must(err)
	return s, session
}

// awaitTrapped waits until a subject whose calls are trapped listens.
func (c *Case) awaitTrapped(session *inject.Session) (*server, error) {
	c.pulse.answeredBy(session)
	return c.awaitServer(session.Process)
}

// injectedAcceptErrors lets accept fail once with each of the errors that a
// server meets in a long life. Those of one connection, such as ECONNABORTED, do
// not come about on Linux by what a client does (accept(2)).
func (c *Case) injectedAcceptErrors() {
	s, session := c.startTrapped(acceptCalls...)
	c.mustServe(c.visit(0))
	var ends []string
	errnos := []struct {
		name  string
		errno syscall.Errno
	}{{"ECONNABORTED", syscall.ECONNABORTED}, {"EPROTO", syscall.EPROTO}, {"ENFILE", syscall.ENFILE},
		{"EMFILE", syscall.EMFILE}, {"ENOBUFS", syscall.ENOBUFS}}
	for _, e := range errnos {
		c.must(session.Set(inject.Rule{Calls: acceptCalls, Nth: 1, Errno: e.errno}))
		// The accept that waits was called before. The next one fails, and the
		// client waits for the one after that.
		var err error
		for range 3 {
			if err = c.visit(0); err != nil || len(session.Hits()) > 0 {
				break
			}
		}
		if len(session.Hits()) == 0 {
			c.mustServe(err)
			c.skip("it accepts by neither accept nor accept4")
		}
		if c.visit(0) == nil {
			continue
		}
		// It may be ending, or listen again in a moment.
		if s.listensOn() {
			if err := c.visit(0); err != nil {
				c.fail("an error of accept concerns one connection, or passes: call it again",
					"after %s from accept a client is not served: %v", e.name, err)
			}
			continue
		}
		ends = append(ends, e.name)
		session.Clear()
		c.killSubject()
		again, err := session.Again(c.tb.Context())
		c.must(err)
		session = again
		s, err = c.awaitTrapped(session)
		c.must(err)
	}
	if len(ends) > 0 {
		c.fail("accept fails when a client gave up (ECONNABORTED, EPROTO) and when the machine is short of something (ENFILE, EMFILE, ENOBUFS, ENOMEM): log it, wait a moment in the latter case, and go on",
			"%s from accept ends the listener", strings.Join(ends, ", "))
	}
	session.Clear()
	c.killSubject()
	c.note("%d errors of accept survived", len(errnos))
}

// outOfDescriptors takes the listener's last descriptor, which the kernel then
// answers with EMFILE, and looks at how it waits for better times. An injected
// EMFILE would not show it: the real one comes again at once, for ever.
func (c *Case) outOfDescriptors() {
	s := c.start("")
	c.mustServe(c.visit(0))
	s.workersEnd("its client left")
	c.settled()
	listeners := s.listeners()
	var restores []func() error
	for _, info := range listeners {
		fds, err := c.host.FDs(info)
		c.must(err)
		restore, err := c.host.SetLimit(info, rig.OpenFiles, lowestFree(fds))
		c.must(err)
		restores = append(restores, restore)
	}
	// An accept that waits has its descriptor already (it is reserved before the
	// call blocks), so each thread that waits in one may still accept a client.
	// A server that stops listening for a while refuses them.
	var waiting []*conn
	unserved := 0
	acceptors := 0
	for _, info := range listeners {
		acceptors += info.Threads
	}
	for range acceptors + 2 {
		k, err := c.dial(1)
		if err != nil {
			unserved++
			continue
		}
		waiting = append(waiting, k)
	}
	spins := c.spins(s, listeners)
	for _, k := range waiting {
		if inode, err := k.serverInode(); err == nil && inode == 0 {
			unserved++
		}
	}
	for _, restore := range restores {
		c.must(restore())
	}
	switch {
	case !s.listensOn():
		c.fail("the listener must outlive a shortage: log EMFILE, wait a moment, and go on", "EMFILE from accept ends the listener%s", s.howItEnded())
	case spins != "":
		c.fail("the connection that accept could not take still waits, so that accept, or poll before it, returns at once for ever: let go of it for a moment after EMFILE",
			"out of descriptors the listener spins: %s", spins)
	case unserved == 0:
		c.broken("the listener's limit on descriptors kept no connection from being accepted, so that nothing is proved")
	}
	for _, k := range waiting {
		if err := k.accepted(); err != nil {
			c.fail("after EMFILE the listener must go on to accept, also when nobody tells it that the shortage is over",
				"descriptors are there again, and a client that waited is not accepted: %v", firstLine(err))
		}
		k.close()
	}
	s.survives("EMFILE", "after EMFILE the listener must go on to accept")
	c.note("out of descriptors it waits, and serves again afterwards")
}

// lowestFree is the number that the next descriptor would get.
func lowestFree(fds rig.FDs) uint64 {
	open := map[int]bool{}
	for _, fd := range fds {
		open[fd.Number] = true
	}
	n := 0
	for open[n] {
		n++
	}
	return uint64(n)
}
