// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var acceptEMFILE = judge.Check{
	Name:    "accept-emfile",
	Meaning: "without a free descriptor the listener neither ends nor spins, and serves waiting clients afterwards",
	Defects: []string{"exit-on-accept-error", "spin-on-emfile", "deaf-after-emfile"},
	Clients: 2,
	Run:     outOfDescriptors,
}

// outOfDescriptors leaves the listener no free descriptor, so that accept fails with EMFILE,
// and looks at how the listener waits. An injected EMFILE would not show it: the real one
// comes again at once, until a descriptor is free.
func outOfDescriptors(c *judge.Case) {
	s := c.Start("")
	c.MustServe(c.Visit(0))
	s.AwaitWorkersEnd("the client left")
	s.MustListen()
	listeners := s.Listeners()
	c.AwaitRest() // it waits for clients
	limited := acceptors(c, s, listeners)
	lift := c.Apply(fault.NoDescriptors{Targets: c.Targets("the listener", limited)})
	// An accept that waits has its descriptor already (it is reserved before the
	// call blocks), so each thread that waits in one may still accept a client.
	// A server that stops listening for a while refuses them.
	var waiting []*judge.Conn
	unserved := 0
	threads := 0
	for _, info := range limited {
		threads += info.Threads
	}
	for range threads + 2 {
		k, err := c.DialWithin(1, rig.Scaled(rig.Settling))
		if err != nil {
			unserved++ // and those who come later are not served either
			break
		}
		_, err = k.SpeakIfDeferred()
		c.Must(err)
		waiting = append(waiting, k)
	}
	began, lines := time.Now(), linesWritten(s)
	loop := busyLoop(c, s, listeners)
	rate := float64(linesWritten(s)-lines) / time.Since(began).Seconds()
	for _, k := range waiting {
		if inode, err := k.ServerInode(); err == nil && inode == 0 {
			unserved++
		}
	}
	replaced := !allAlive(c, listeners)
	if replaced { // those that are left may end, too
		_, _ = c.Until("the end of the listener", func() (bool, string, error) { return !c.Listens(), "it listens", nil })
	}
	lift()
	if !c.ListensOn() && c.Host.Overcrowded() {
		c.Finding("EMFILE-spin")
		c.Fail(pauseAfterEMFILE, "the listener has no free descriptor and starts processes without end")
	}
	if !c.ListensOn() {
		c.Finding("EMFILE-end")
		c.Fail(pauseAfterEMFILE, "EMFILE from accept ends the listener%s", s.HowItEnded())
	}
	if rate >= 10 {
		c.Note("it wrote about %d lines a second meanwhile", oneDigit(rate))
	}
	var observed, remedies []string
	add := func(finding, remedy, format string, args ...any) {
		c.Finding(finding)
		observed, remedies = append(observed, fmt.Sprintf(format, args...)), append(remedies, remedy)
	}
	if loop != "" {
		add("EMFILE-spin", "pause after EMFILE: the connection stays in the backlog, so accept and poll return at once",
			"the listener has no free descriptor and is in a busy loop: %s", loop)
	} else if unserved == 0 && !replaced {
		c.Broken("the limit on descriptors did not keep the listener from accepting, so nothing is proved")
	}
	if err := servesWhoWaited(c, waiting); err != nil {
		finding, now := "EMFILE-late", "it is accepted when a further client comes"
		if furtherClient(c) != nil {
			finding, now = "EMFILE-deaf", "a further client is not served either"
		}
		add(finding, "call accept again by a timer after EMFILE: no event says that descriptors are free again",
			"descriptors are free again, and a client that waited is not served: %v; %s", judge.FirstLine(err), now)
	}
	if len(observed) > 0 {
		c.Fail(strings.Join(remedies, "; "), "%s", strings.Join(observed, "; "))
	}
	if err := c.Visit(0); err != nil && !c.ListensOn() { // a worker held the socket until now
		c.Finding("EMFILE-end")
		c.Fail(pauseAfterEMFILE, "EMFILE from accept ends the listener%s", s.HowItEnded())
	} else if err != nil && c.Visit(0) != nil {
		c.Finding("EMFILE-deaf")
		c.Fail("wait a moment after EMFILE and call accept again: the listener no longer accepts", "after EMFILE a new client is not served: %v", err)
	}
	if replaced {
		c.Note("a process without a free descriptor ends, another one takes its place, and clients are served")
	} else {
		c.Note("it waits while it has no free descriptor, and serves clients afterwards")
	}
}

const pauseAfterEMFILE = "log EMFILE, wait a moment and call accept again: a lack of descriptors must not end the listener"

// acceptors returns the listeners without a parent of others that does not wait for clients itself:
// that of pre-forked workers starts those that take the place of one that ended. Without a free
// descriptor of its own it could not, which is not what happens where a worker is out of them.
func acceptors(c *judge.Case, s *judge.Instance, listeners rig.ProcessInfos) rig.ProcessInfos {
	return slices.DeleteFunc(slices.Clone(listeners), func(p rig.ProcessInfo) bool {
		if !slices.ContainsFunc(listeners, func(child rig.ProcessInfo) bool { return child.ParentPID == p.PID }) {
			return false
		}
		waits, _ := c.Host.Waits(p, s.Listener.Inode) // none where it has ended, or where the kernel does not show them
		return !slices.ContainsFunc(waits, func(w rig.Wait) bool { return w.OnSocket })
	})
}

// allAlive says whether none of the processes has ended.
func allAlive(c *judge.Case, processes rig.ProcessInfos) bool {
	now, err := c.Host.Processes()
	c.Must(err)
	return !slices.ContainsFunc(processes, func(p rig.ProcessInfo) bool { return !slices.ContainsFunc(now.Alive(), p.Same) })
}

// servesWhoWaited returns an error where a client that waited is not served. Those that are
// accepted leave first, since the subject may serve a few at a time. One whose connection has
// ended does not wait any more.
func servesWhoWaited(c *judge.Case, waiting []*judge.Conn) error {
	ended, all := 0, len(waiting)
	for len(waiting) > 0 {
		next := -1
		if _, err := c.Until("a client that waited to be accepted", func() (bool, string, error) {
			var err error
			next = slices.IndexFunc(waiting, func(k *judge.Conn) bool {
				accepted, lookErr := k.Accepted()
				err = cmp.Or(err, lookErr)
				return accepted
			})
			return next >= 0, "the connections are in the backlog", err
		}); err != nil {
			return err
		}
		err := waiting[next].Finish()
		if judge.Hopeless(err) {
			return err
		}
		if err != nil {
			ended++
		}
		waiting[next].Close()
		waiting = slices.Delete(waiting, next, next+1)
	}
	if ended > 0 {
		c.Note("%d of %d clients that waited were turned away", ended, all)
	}
	return nil
}

// furtherClient lets a client come that waits for as long as its SYN is repeated twice, and not
// longer where the subject never is quiescent.
func furtherClient(c *judge.Case) error {
	k, err := c.DialWithin(0, rig.Scaled(2*rig.Settling))
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Finish()
}

// oneDigit rounds a number so that two runs say the same.
func oneDigit(n float64) int {
	unit := math.Pow(10, math.Floor(math.Log10(n)))
	return int(math.Round(n/unit) * unit)
}
