// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"sync"
	"sync/atomic"

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

// makeNamespaces begins to make the network namespaces of hosts, several at a time: most of
// that is work of the kernel in which they do not wait for each other. next returns one after
// the other; stop ends those that it did not return.
func makeNamespaces(hosts []string) (next func() (*netns.Namespace, error), stop func()) {
	type result struct {
		ns  *netns.Namespace
		err error
	}
	made := make([]chan result, len(hosts))
	for i := range made {
		made[i] = make(chan result, 1)
	}
	var begun atomic.Int32
	var stopped atomic.Bool
	returned := 0
	var makers sync.WaitGroup
	const makersAtOnce = 2
	for range makersAtOnce {
		makers.Go(func() {
			for i := int(begun.Add(1)) - 1; i < len(hosts) && !stopped.Load(); i = int(begun.Add(1)) - 1 {
				ns, err := newNamespace(hosts[i])
				made[i] <- result{ns, err}
			}
		})
	}
	next = func() (*netns.Namespace, error) {
		r := <-made[returned]
		returned++
		return r.ns, r.err
	}
	return next, func() {
		stopped.Store(true)
		makers.Wait()
		for _, left := range made[returned:] {
			select {
			case r := <-left:
				if r.err == nil {
					_ = endNamespace(r.ns) // the star has failed already
				}
			default:
			}
		}
	}
}
