// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"slices"

	"forkrig/rig"
)

// InBoth returns the processes that are in both lists.
func InBoth(a, b rig.ProcessInfos) rig.ProcessInfos {
	return a.Where(func(info rig.ProcessInfo) bool { return slices.ContainsFunc(b, info.Same) })
}

// Holders returns the processes of the host that have the socket open.
func (c *Case) Holders(inode uint32) rig.ProcessInfos {
	processes, err := c.Host.Processes()
	c.Must(err)
	return c.holding(processes.Alive(), rig.Sockets{{Inode: inode}})
}

// holding returns those of the processes that have one of the sockets open.
func (c *Case) holding(who rig.ProcessInfos, sockets rig.Sockets) rig.ProcessInfos {
	return who.Where(func(info rig.ProcessInfo) bool {
		fds, err := c.Host.FDs(info)
		return err == nil && slices.ContainsFunc(sockets, func(k rig.Socket) bool { return fds.Socket(k.Inode) }) // or it has ended
	})
}
