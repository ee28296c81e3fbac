// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net/netip"
	"slices"
)

// Watch has f called with what the observer sees of the host from now on, whoever asked it to
// look. f returns soon, and asks the rig nothing. A second call takes the place of the first one.
func (h *Host) Watch(f func(Sight)) { h.observed.Watch(f) }

// Hosts returns the hosts of the lab, in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// Interface is an end of a link, as it is on its host.
type Interface struct {
	Name      string
	Index     int
	Addresses []netip.Prefix
	Peer      *Host // the host at the other end
}

// Interfaces returns the ends of links that the host has, in their order.
func (h *Host) Interfaces() []Interface {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	var found []Interface
	for _, l := range h.lab.links {
		for i, end := range l.ends {
			if end.host == h {
				found = append(found, Interface{Name: end.Name, Index: end.Index, Addresses: slices.Clone(end.Addresses), Peer: l.ends[1-i].host})
			}
		}
	}
	return found
}
