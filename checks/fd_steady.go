package checks

import (
	"errors"
	"fmt"
	"os"

	"forkrig/rig"
)

var fdSteady = Check{
	Name:    "fd-steady",
	Meaning: "the listener's descriptors return to the baseline",
	Defects: []string{"parent-keeps-conn"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		listeners := s.listeners()
		if len(listeners) == 0 {
			c.broken("no process that was there before the first connection holds the listening socket")
		}
		// What a server opens for its first clients it may keep, and a pool of
		// descriptors may grow for a while. A leak, be it one in 64, grows with every crowd.
		const crowd, together, crowds = 130, 4, 3
		var before map[int]rig.FDs
		var leaked rig.FDs
		for i := range 1 + crowds {
			c.mustServe(c.crowd(crowd, together))
			s.workersEnd("the last client left")
			if i == 0 {
				c.settled()
				before = c.descriptors(listeners)
				continue
			}
			grown := len(leaked)
			if leaked = c.awaitBaseline(listeners, before, grown); len(leaked) <= grown {
				c.note("%d descriptors before and after %d connections", len(before[listeners[0].PID])+len(leaked), crowd)
				return
			}
		}
		c.fail("each connection leaves descriptors in the listener until accept fails with EMFILE: close the connection in the parent after fork, also when fork fails",
			"%s has %d descriptors more after %d connections: %s", s.described(listeners), len(leaked), crowd*crowds, kinds(leaked))
	},
}

// descriptors reads what the processes have open.
func (c *Case) descriptors(processes rig.ProcessInfos) map[int]rig.FDs {
	all := map[int]rig.FDs{}
	for _, info := range processes {
		fds, err := c.host.FDs(info)
		if errors.Is(err, os.ErrNotExist) {
			c.broken("the listener has ended: %v", info)
		}
		c.must(err)
		all[info.PID] = fds
	}
	return all
}

// awaitBaseline waits until the processes have no more descriptors beyond those
// of before than allowed, and returns the ones that they have.
func (c *Case) awaitBaseline(processes rig.ProcessInfos, before map[int]rig.FDs, allowed int) (beyond rig.FDs) {
	_, _ = c.until("descriptors at their baseline", func() (bool, string, error) { // what stays tells
		beyond = nil
		for pid, now := range c.descriptors(processes) {
			beyond = append(beyond, more(before[pid], now)...)
		}
		return len(beyond) <= allowed, beyond.String(), nil
	})
	return beyond
}

// more returns the descriptors of now whose numbers are not open in before.
// Anonymous ones (epoll, eventfd, …) are those of a runtime, which may
// open them when it first needs them.
func more(before, now rig.FDs) rig.FDs {
	open := map[int]bool{}
	for _, fd := range before {
		open[fd.Number] = true
	}
	var found rig.FDs
	for _, fd := range now {
		if !open[fd.Number] && fd.Kind != rig.FDAnon {
			found = append(found, fd)
		}
	}
	return found
}

// kinds counts descriptors by kind.
func kinds(fds rig.FDs) string {
	text := ""
	for _, kind := range []rig.FDKind{rig.FDSocket, rig.FDPipe, rig.FDFile, rig.FDOther} {
		if n := len(fds.Of(kind)); n > 0 {
			text += fmt.Sprintf("%d of kind %s ", n, kind)
		}
	}
	return text + "(" + fds[0].Target + ")"
}
