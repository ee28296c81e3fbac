// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"os"

	"forkrig/rig"
)

// InBoth returns the processes that are in both lists.
func InBoth(a, b rig.ProcessInfos) rig.ProcessInfos {
	var both rig.ProcessInfos
	for _, x := range a {
		for _, y := range b {
			if x.Same(y) {
				both = append(both, x)
			}
		}
	}
	return both
}

// Holders returns the processes of the host that have the socket open.
func (c *Case) Holders(inode uint32) rig.ProcessInfos {
	processes, err := c.Host.Processes()
	c.Must(err)
	var found rig.ProcessInfos
	for _, info := range processes.Alive() {
		fds, err := c.Host.FDs(info)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && fds.Socket(inode) {
			found = append(found, info)
		}
	}
	return found
}
