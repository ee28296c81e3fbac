// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"

	"forkrig/rig/internal/netns"
	"forkrig/rig/internal/sandbox"
)

// newNamespace makes the network namespace of a host. Init holds it, too, so that its
// connections end whatever becomes of this process.
func newNamespace(host string) (*netns.Namespace, error) {
	ns, err := netns.New(host)
	if err != nil {
		return nil, err
	}
	if err := sandbox.Keep(ns.Inode, ns.FD()); err != nil {
		ns.Close()
		return nil, fmt.Errorf("hand the network namespace to init: %w", err)
	}
	return ns, nil
}

// endNamespace closes the namespace for good: the kernel frees it with its links once no
// process is in it.
func endNamespace(ns *netns.Namespace) error {
	err := sandbox.Release(ns.Inode)
	ns.Close()
	return err
}

// endConnections destroys the connections in a network namespace that no process has any
// more.
func endConnections(fd int) error {
	ns, err := netns.Open("a killed lab", fd)
	if err != nil {
		return err
	}
	defer ns.Close()
	_, err = ns.DestroyOrphans()
	return err
}
