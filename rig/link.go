// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"forkrig/rig/internal/netns"
)

// Family is an address family.
type Family int

// The address families of a link.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// Families lists the address families, for tests that run in each.
var Families = [...]Family{IPv4, IPv6}

func (f Family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// Wildcard returns the unspecified address of the family: 0.0.0.0 or ::.
func (f Family) Wildcard() netip.Addr {
	if f == IPv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Link is a veth pair between two hosts (veth(4)). Each link has an IPv4 and an
// IPv6 subnet of its own: the n-th link of a lab has 10.x.y.0/24 and
// fd00:0:0:n::/64, where x.y are the two bytes of n. The host named first when
// the link was made has the address that ends in 1, the other the one that ends
// in 2. Its methods are safe for concurrent use.
type Link struct {
	lab  *Lab
	ends [2]*device
}

// device is one end of a link.
type device struct {
	netns.End
	host *Host

	neighbour net.HardwareAddr // where a detour leads, see Detour; guarded by lab.mu

	offload   sync.Mutex
	segmented int // how many want segments, see Link.Segment; guarded by offload
}

// firstDevice is the number of a host's first interface. The numbers below it are left to
// interfaces that others make on the host, which get the lowest one that is free.
const firstDevice = 101

// maxLinks is how many links a lab can number in its IPv4 range.
const maxLinks = 1<<16 - 1

// linkPrefix returns the address of one end (1 or 2) of the n-th link.
func linkPrefix(family Family, n, end int) netip.Prefix {
	if family == IPv4 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), byte(end)}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 6: byte(n >> 8), 7: byte(n), 15: byte(end)}), 64)
}

// String names the link by its hosts.
func (l *Link) String() string { return l.ends[0].host.Name + "-" + l.ends[1].host.Name }

// Addr returns the address that host has on the link, or an invalid address
// where the link does not reach that host.
func (l *Link) Addr(host *Host, family Family) netip.Addr {
	for _, end := range l.ends {
		if end.host == host {
			return end.addr(family)
		}
	}
	return netip.Addr{}
}

// Down takes both ends of the link down: neither host has a carrier, packets
// are dropped without an answer, and existing connections stay until their
// timers end them. Addresses and routes of the link are gone until [Link.Up].
func (l *Link) Down() error {
	if err := l.lab.checkOpen("take down link " + l.String()); err != nil {
		return err
	}
	err := errors.Join(l.ends[0].Down(), l.ends[1].Down())
	l.lab.Journal.Record("lab", "link %s down%s", l, errorSuffix(err))
	return err
}

// Up heals [Link.Down] and returns when both ends have a carrier, their
// addresses and their routes.
func (l *Link) Up(ctx context.Context) error {
	if err := l.lab.checkOpen("bring up link " + l.String()); err != nil {
		return err
	}
	err := l.up(ctx)
	l.lab.Journal.Record("lab", "link %s up%s", l, errorSuffix(err))
	return err
}

// Unplug takes the host's own ends of all its links down: to the others it is
// as if it had vanished, no packet comes from it and none is answered.
// [Host.Plug] heals it, and [Link.Up] does link by link.
func (h *Host) Unplug() error {
	if err := h.lab.checkOpen("unplug " + h.Name); err != nil {
		return err
	}
	h.lab.mu.Lock()
	devices := append([]*device(nil), h.devices...)
	h.lab.mu.Unlock()
	var errs []error
	for _, d := range devices {
		errs = append(errs, d.Down())
	}
	err := errors.Join(errs...)
	h.lab.Journal.Record(h.Name, "unplugged%s", errorSuffix(err))
	return err
}

func (l *Link) up(ctx context.Context) error {
	for _, end := range l.ends {
		if err := end.up(); err != nil {
			return err
		}
	}
	return l.await(ctx)
}

// await waits until both ends can send and receive.
func (l *Link) await(ctx context.Context) error {
	// The end that came up last has had its carrier from the beginning.
	return errors.Join(l.ends[0].await(ctx, isReady), l.ends[1].await(ctx, isAddressed))
}

// up brings the device up with its addresses and routes.
func (d *device) up() error {
	// Before it can send: no packet misses a detour.
	if err := d.keepDetour(); err != nil {
		return err
	}
	return d.Up()
}

// await waits for a state. Workers of the kernel give a device its carrier, when both ends
// are up, and see to it that the host takes packets to its addresses for its own
// (linkwatch_event, addrconf_dad_work); packets that come before are dropped, and the first
// connection would wait a second for its SYN to be repeated.
func (d *device) await(ctx context.Context, seen func(netns.State) bool) error {
	return Await(ctx, fmt.Sprintf("%s on %s ready", d.Name, d.host.Name), func() (bool, string, error) {
		state, err := d.State()
		return seen(state), state.String(), err
	})
}

func hasCarrier(s netns.State) bool  { return s.Carrier }
func isAddressed(s netns.State) bool { return s.Addressed }
func isReady(s netns.State) bool     { return s.Carrier && s.Addressed }

// addr returns the device's address of the family.
func (d *device) addr(family Family) netip.Addr {
	for _, prefix := range d.Addresses {
		if prefix.Addr().Is4() == (family == IPv4) {
			return prefix.Addr()
		}
	}
	return netip.Addr{}
}

func errorSuffix(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
