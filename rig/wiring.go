// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Lab returns the lab that the host belongs to.
func (h *Host) Lab() *Lab { return h.lab }

// Links returns the links that end at the host, in the order in which they were
// made.
func (h *Host) Links() []*Link {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	var links []*Link
	for _, link := range h.lab.links {
		if link.end(h) != nil {
			links = append(links, link)
		}
	}
	return links
}

// Addrs returns the host's addresses on all its links, those of IPv6 only where
// the kernel has it. The loopback is left out.
func (h *Host) Addrs() []netip.Addr {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	var all []netip.Addr
	for _, d := range h.devices {
		for _, family := range Families {
			if family == IPv6 && h.ns.IPv6Err() != nil {
				continue
			}
			all = append(all, d.addr(family))
		}
	}
	return all
}

// Lab returns the lab that the link belongs to.
func (l *Link) Lab() *Lab { return l.lab }

// Hosts returns the two hosts of the link, in the order in which they were given.
func (l *Link) Hosts() [2]*Host { return [2]*Host{l.ends[0].host, l.ends[1].host} }

// Peer returns the host at the other end, or nil where the link does not reach
// that host.
func (l *Link) Peer(host *Host) *Host {
	if d := l.farEnd(host); d != nil {
		return d.host
	}
	return nil
}

// Device returns the name that the link's interface has on the host, or "" where
// the link does not reach that host.
func (l *Link) Device(host *Host) string {
	if d := l.end(host); d != nil {
		return d.Name
	}
	return ""
}

func (l *Link) end(host *Host) *device {
	for _, d := range l.ends {
		if d.host == host {
			return d
		}
	}
	return nil
}

func (l *Link) farEnd(host *Host) *device {
	for i, d := range l.ends {
		if d.host == host {
			return l.ends[1-i]
		}
	}
	return nil
}

// Readdress gives the host's end of the link its addresses and routes again, where
// the kernel took them: it takes those of IPv6 when the MTU falls below 1280 bytes
// (RFC 8200 section 5) and does not bring them back. It does not bring the end up.
func (l *Link) Readdress(ctx context.Context, host *Host) error {
	what := fmt.Sprintf("give %v its addresses on link %s", host, l)
	if err := l.lab.checkOpen(what); err != nil {
		return err
	}
	d := l.end(host)
	if d == nil {
		return fmt.Errorf("%s: the link does not reach the host: choose one of its ends", what)
	}
	state, err := d.State()
	if err != nil || !state.Up {
		return err // Link.Up and Host.Plug give them
	}
	if err := errors.Join(d.Address(), d.keepDetour()); err != nil {
		return err
	}
	return d.await(ctx, isAddressed)
}

// Plug heals [Host.Unplug]: the host's own ends of all its links come up, with
// their addresses and routes. It returns when each has a carrier whose other end
// is up.
func (h *Host) Plug(ctx context.Context) error {
	if err := h.lab.checkOpen("plug in " + h.Name); err != nil {
		return err
	}
	err := h.plug(ctx)
	h.lab.Journal.Record(h.Name, "plugged in%s", errorSuffix(err))
	return err
}

func (h *Host) plug(ctx context.Context) error {
	links := h.Links()
	var errs []error
	for _, link := range links {
		errs = append(errs, link.end(h).up())
	}
	for _, link := range links {
		near, far := link.end(h), link.farEnd(h)
		state, err := far.State()
		errs = append(errs, err, near.await(ctx, isAddressed))
		if state.Up {
			// The end that came up last has had its carrier from the beginning; the
			// other one learns of it from a kernel worker.
			errs = append(errs, near.await(ctx, hasCarrier), far.await(ctx, hasCarrier))
		}
	}
	return errors.Join(errs...)
}

// Claim reserves something of the lab that only one may change at a time, such
// as the MTU of an interface, until release is called. what names it in a few
// words. The error says that it is taken.
func (l *Lab) Claim(what string) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claims[what] {
		return nil, fmt.Errorf("%s is changed already by a fault: heal that fault first, or give both changes in one fault", what)
	}
	if l.claims == nil {
		l.claims = map[string]bool{}
	}
	l.claims[what] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.claims, what)
	}, nil
}
