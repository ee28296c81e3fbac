package checks

import (
	"context"
	"errors"
	"slices"
	"time"

	"forkrig/rig"
)

var forkFailure = Check{
	Name:    "fork-failure",
	Meaning: "EAGAIN from fork costs that connection only, and its client is told",
	Defects: []string{"exit-on-fork-failure", "leak-conn-on-fork-failure"},
	clients: 2,
	run: func(c *Case) {
		s := c.startLimited()
		s.forks()
		c.settled()
		listeners := s.listeners()
		before := map[int]rig.FDs{}
		var restores []func() error
		for _, info := range s.own {
			fds, err := c.host.FDs(info)
			c.must(err)
			before[info.PID] = fds
			restore, err := c.host.SetLimit(info, rig.UserProcesses, 0)
			c.must(err)
			restores = append(restores, restore)
		}

		lift := func() {
			for _, restore := range restores {
				c.must(restore())
			}
		}
		const clients = 3
		for range clients {
			if !c.told(s) {
				lift()
				c.servedLater(s)
				return
			}
		}
		lift()
		s.survives("EAGAIN from fork", "a failed fork concerns one connection: close that one and go on")
		s.workersEnd("its client left")
		c.settled()
		for _, info := range listeners {
			now, err := c.host.FDs(info)
			c.must(err)
			if leaked := more(before[info.PID], now); len(leaked) > 0 {
				c.fail("close the connection in the parent when fork fails, too",
					"after %d failed forks the listener has %d descriptors more: %s", clients, len(leaked), kinds(leaked))
			}
		}
		c.note("%d forks refused by the kernel, each client was told", clients)
	},
}

// startLimited starts the subject as a user whose processes the kernel limits.
// Root has no such limit.
func (c *Case) startLimited() *server {
	const nobody = "65534"
	command := c.subject.At(c.address)
	if command.User == "" {
		c.must(c.host.SetSysctl("net.ipv4.ip_unprivileged_port_start", "0")) // of IPv6, too
		command.User = nobody
		s, err := c.tryStartAs(command)
		if missing := (*rig.MissingError)(nil); errors.As(err, &missing) {
			return c.start("") // without root every user of the sandbox is limited
		}
		if err != nil {
			c.skip("the kernel limits the processes of everybody but root, and it does not start as another user (-subject-user): %v", firstLine(err))
		}
		return s
	}
	return c.start("")
}

// told connects a client while fork fails, and says whether its connection ends.
func (c *Case) told(s *server) bool {
	ended := func() {
		if !s.listensOn() {
			c.fail("a failed fork concerns one connection: close that one and go on", "EAGAIN from fork ends the listener%s", s.howItEnded())
		}
	}
	k, err := c.dial(1)
	if err != nil {
		ended()
		c.must(err)
	}
	if c.subject.Service != None {
		said, _ := c.message(0)
		_ = k.say([]byte(said)) // a reset may come before
	}
	answer := make([]byte, 1<<10)
	n, err := k.read(answer)
	ended()
	switch {
	case errors.Is(err, errStuck) && n > 0:
		c.skip("it serves a client without starting a process")
	case errors.Is(err, errStuck):
		return false
	case errors.Is(err, errBusy):
		c.fail("log it, close the connection and go on: to try fork again at once, without end, takes a processor and tells nobody",
			"fork fails, and the client is not told: %v", err)
	case errors.Is(err, rig.ErrNotObserved):
		c.fail("close the connection in the parent when fork fails", "fork fails, and the client is not told: %v", err)
	}
	k.close()
	return true
}

// servedLater judges a subject that does not tell a client that fork failed,
// when fork works again: it may have kept the client for that moment.
func (c *Case) servedLater(s *server) {
	k := c.conns[len(c.conns)-1]
	inode, err := k.serverInode()
	c.must(err)
	ctx, cancel := context.WithTimeout(c.tb.Context(), rig.Scaled(longestRetry))
	defer cancel()
	_, err = c.host.AwaitProcesses(ctx, "a process for the client that waits", func(rig.ProcessInfos) bool {
		now, err := k.serverInode()
		return err == nil && slices.ContainsFunc(c.holders(now), func(i rig.ProcessInfo) bool { return !s.isOwn(i) })
	})
	switch {
	case err == nil:
		c.note("a client whose process cannot be started is kept, and served when it can")
		s.survives("EAGAIN from fork", "a failed fork concerns one connection: close that one and go on")
	case inode == 0:
		c.fail("after a failed fork the listener must go on to accept", "fork failed once, and the listener does not accept any more")
	default:
		c.fail("close the connection in the parent when fork fails: its client waits for ever, and the descriptor is lost",
			"fork failed, and the client is not told: its connection is still open in %s", s.described(c.holders(inode)))
	}
}

// longestRetry is how long a subject may take to try fork again.
const longestRetry = 10 * time.Second
