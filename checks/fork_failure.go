// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"slices"
	"time"

	"forkrig/judge"
	"forkrig/rig"
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
		before := map[int]rig.FDs{}
		var restores []func() error
		for _, info := range s.Own {
			fds, err := c.Host.FDs(info)
			c.Must(err)
			before[info.PID] = fds
			restore, err := c.Host.SetLimit(info, rig.UserProcesses, 0)
			c.Must(err)
			restores = append(restores, restore)
		}

		lift := func() {
			for _, restore := range restores {
				c.Must(restore())
			}
		}
		const clients = 3
		for range clients {
			if !told(c, s) {
				lift()
				servedLater(c, s)
				return
			}
		}
		lift()
		s.MustSurvive("EAGAIN from fork", "a failed fork concerns one connection: close that one and go on")
		s.AwaitWorkersEnd("its client left")
		c.AwaitRest()
		for _, info := range listeners {
			now, err := c.Host.FDs(info)
			c.Must(err)
			if leaked := judge.Gained(before[info.PID], now); len(leaked) > 0 {
				c.Fail("close the connection in the parent when fork fails, too",
					"after %d failed forks the listener has %d descriptors more: %s", clients, len(leaked), judge.Kinds(leaked))
			}
		}
		c.Note("%d forks refused by the kernel, each client was told", clients)
	},
}

// startLimited starts the subject as a user whose processes the kernel limits.
// Root has no such limit.
func startLimited(c *judge.Case) *judge.Instance {
	if c.Subject.User != "" {
		return c.Start("")
	}
	s, err := c.TryStartLimited()
	if missing := (*rig.MissingError)(nil); errors.As(err, &missing) {
		return c.Start("") // without root every user of the sandbox is limited
	}
	if err != nil {
		c.Skip("the kernel limits the processes of every user but root, and the subject does not start as user %s (-subject-user): %v",
			judge.LimitedUser, judge.FirstLine(err))
	}
	return s
}

// told connects a client while fork fails, and says whether its connection ends.
func told(c *judge.Case, s *judge.Instance) bool {
	ended := func() {
		if !s.ListensOn() {
			c.Fail("a failed fork concerns one connection: close that one and go on", "EAGAIN from fork ends the listener%s", s.HowItEnded())
		}
	}
	k, err := c.Dial(1)
	if err != nil {
		ended()
		c.Must(err)
	}
	if c.Subject.Service != judge.None {
		said, _ := c.Message(0)
		_ = k.Send([]byte(said)) // a reset may come before
	}
	answer := make([]byte, 1<<10)
	n, err := k.ReadFull(answer)
	ended()
	switch {
	case errors.Is(err, judge.ErrQuiescent) && n > 0:
		c.Skip("it serves a client without starting a process")
	case errors.Is(err, judge.ErrQuiescent):
		return false
	case errors.Is(err, judge.ErrBusy):
		c.Fail("log it, close the connection and go on: to try fork again at once, without end, takes a processor and tells nobody",
			"fork fails, and the client is not told: %v", err)
	case errors.Is(err, rig.ErrNotObserved):
		c.Fail("close the connection in the parent when fork fails", "fork fails, and the client is not told: %v", err)
	}
	k.End()
	return true
}

// servedLater judges a subject that does not tell a client that fork failed,
// when fork works again: it may have kept the client for that moment.
func servedLater(c *judge.Case, s *judge.Instance) {
	k := c.Conns[len(c.Conns)-1]
	inode, err := k.ServerInode()
	c.Must(err)
	ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(longestRetry))
	defer cancel()
	_, err = c.Host.AwaitProcesses(ctx, "a process for the client that waits", func(rig.ProcessInfos) bool {
		now, err := k.ServerInode()
		return err == nil && slices.ContainsFunc(c.Holders(now), func(i rig.ProcessInfo) bool { return !s.IsOwn(i) })
	})
	switch {
	case err == nil:
		c.Note("a client whose process cannot be started is kept, and served when it can")
		s.MustSurvive("EAGAIN from fork", "a failed fork concerns one connection: close that one and go on")
	case inode == 0:
		c.Fail("after a failed fork the listener must go on to accept", "fork failed once, and the listener does not accept any more")
	default:
		c.Fail("close the connection in the parent when fork fails: its client waits for ever, and the descriptor is lost",
			"fork failed, and the client is not told: its connection is still open in %s", s.Describe(c.Holders(inode)))
	}
}

// longestRetry is how long a subject may take to try fork again.
const longestRetry = 10 * time.Second
