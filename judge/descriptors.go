// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"os"

	"forkrig/rig"
)

// Descriptors are what processes have open, by the number of the process.
type Descriptors map[int]rig.FDs

// Descriptors reads what the processes have open. One that has ended is left out.
func (c *Case) Descriptors(of rig.ProcessInfos) Descriptors {
	all := Descriptors{}
	for _, info := range of {
		fds, err := c.Host.FDs(info)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		c.Must(err)
		all[info.PID] = fds
	}
	return all
}

// Count is how many descriptors the processes have.
func (before Descriptors) Count() (n int) {
	for _, fds := range before {
		n += len(fds)
	}
	return n
}

// Gained returns the descriptors of now whose numbers were not open before. Anonymous ones
// (epoll, eventfd, …) are those of a runtime, which may open them when it first needs them.
func (before Descriptors) Gained(now Descriptors) rig.FDs {
	var gained rig.FDs
	for pid, fds := range now {
		open := map[int]bool{}
		for _, fd := range before[pid] {
			open[fd.Number] = true
		}
		for _, fd := range fds {
			if !open[fd.Number] && fd.Kind != rig.FDAnon {
				gained = append(gained, fd)
			}
		}
	}
	return gained
}

// AwaitGained waits until the processes have gained no more descriptors than allowed, and
// returns those that they have gained.
func (c *Case) AwaitGained(of rig.ProcessInfos, before Descriptors, allowed int) (gained rig.FDs, err error) {
	_, err = c.Until("descriptors to be closed", func() (bool, string, error) {
		gained = before.Gained(c.Descriptors(of))
		return len(gained) <= allowed, gained.String(), nil
	})
	return gained, err
}

// Kinds counts descriptors by kind.
func Kinds(fds rig.FDs) string {
	text := ""
	for _, kind := range []rig.FDKind{rig.FDSocket, rig.FDPipe, rig.FDFile, rig.FDOther} {
		if n := len(fds.Of(kind)); n > 0 {
			text += fmt.Sprintf("%d of kind %s ", n, kind)
		}
	}
	return text + "(" + fds[0].Target + ")"
}
