// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"slices"
	"time"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var forkFailure = judge.Check{
	Name:    "fork-failure",
	Meaning: "EAGAIN from fork costs that connection only, and its client is told",
	Defects: []string{"exit-on-fork-failure", "leak-conn-on-fork-failure"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := startLimited(c)
		s.MustFork()
		c.AwaitRest()
		listeners := s.Listeners()
		before := c.Descriptors(listeners)
		lift := c.Apply(fault.Limit{Targets: s.OwnTargets(), Resource: rig.UserProcesses, Soft: 0})
		const clients = 3
		for range clients {
			if k := connectionStays(c, s); k != nil {
				lift()
				servedLater(c, s, k)
				return
			}
		}
		lift()
		s.MustSurvive("EAGAIN from fork", failedFork)
		s.AwaitWorkersEnd("the client left")
		c.AwaitRest()
		if leaked := before.Gained(c.Descriptors(listeners)); len(leaked) > 0 {
			c.Fail("the parent keeps the connection open when fork fails: close it",
				"after %d failed forks the listener has %d more descriptors: %s", clients, len(leaked), judge.Kinds(leaked))
		}
		c.Note("the kernel refused %d forks; each client saw the end of its connection", clients)
	},
}

const failedFork = "a failed fork concerns one connection: close it and go on"

// startLimited starts the subject as a user whose processes the kernel limits.
func startLimited(c *judge.Case) *judge.Instance {
	s, err := c.TryStart(judge.Launch{Limited: true})
	if err != nil && c.Subject.User == "" && !rig.Rootless() {
		c.Skip("fork has no limit for root, and the subject does not start as user %s (see -subject-user): %v",
			judge.LimitedUser, judge.FirstLine(err))
	}
	c.Must(err)
	return s
}

// connectionStays connects a client while fork fails, and returns its connection if that
// does not end.
func connectionStays(c *judge.Case, s *judge.Instance) *judge.Conn {
	ended := func() {
		if !s.ListensOn() {
			c.Fail(failedFork, "EAGAIN from fork ends the listener%s", s.HowItEnded())
		}
	}
	k, err := c.Dial(1)
	if err != nil {
		ended()
		c.Must(err)
	}
	if c.Service.Lacks(dialogue.Answers) == "" {
		_ = k.Ask() // a reset may come before
	}
	answer := make([]byte, 1<<10)
	n, err := k.ReadFull(answer)
	ended()
	switch {
	case errors.Is(err, judge.ErrQuiescent) && n > 0:
		c.Skip("it serves a client without starting a process")
	case errors.Is(err, judge.ErrQuiescent):
		return k
	case errors.Is(err, judge.ErrBusy):
		c.Fail("the listener repeats fork in a busy loop: log the error, close the connection and go on",
			"fork failed, and the connection of the client stays open: %v", err)
	case errors.Is(err, rig.ErrNotObserved):
		c.Fail("the parent keeps the connection open when fork fails: close it",
			"fork failed, and the connection of the client stays open: %v", err)
	}
	k.Close()
	return nil
}

// servedLater judges a subject that keeps the connection of a client when fork fails: it
// may serve the client when fork succeeds again.
func servedLater(c *judge.Case, s *judge.Instance, k *judge.Conn) {
	inode, err := k.ServerInode()
	c.Must(err)
	ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(maxRetryTime))
	defer cancel()
	_, err = c.Host.AwaitProcesses(ctx, "a process for the waiting client", func(rig.ProcessInfos) bool {
		now, err := k.ServerInode()
		return err == nil && slices.ContainsFunc(c.Holders(now), func(i rig.ProcessInfo) bool { return !s.IsOwn(i) })
	})
	switch {
	case err == nil:
		c.Note("the listener keeps the client and serves it when fork succeeds again")
		s.MustSurvive("EAGAIN from fork", failedFork)
	case inode == 0:
		c.Fail("the listener stops accepting when fork fails: close the connection and call accept again",
			"fork failed once, and the listener does not accept any more")
	default:
		c.Fail("the parent keeps the connection open when fork fails, so the client waits for ever: close it",
			"fork failed, and the connection of the client is still open in %s", s.Describe(c.Holders(inode)))
	}
}

// maxRetryTime is how long a subject may take to try fork again.
const maxRetryTime = 10 * time.Second
