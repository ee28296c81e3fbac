// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net"
)

// Detour leads what one host sends over a link to a hardware address that is not assigned.
// The frames arrive at the other end's device, where a packet socket
// (packet(7)) sees them, and the network layer passes them over, because they are
// meant for another machine. A program that reads them there delivers them by sending them
// once more from the first host's device, to the right address: see rig/fault.
//
// Each frame says itself whether it goes the detour, so that none is lost and
// none arrives twice when a detour begins and ends. Unlike a rule of a packet
// filter, it needs nothing of the kernel but neighbour tables.
//
// It is for the addresses that the rig gave the other end, and so for every
// unicast packet that is routed over the link. It is not for broadcast and
// multicast, ARP requests and the answers to them, and IPv6 packets to a
// link-local address.
type Detour struct {
	// Unassigned is the hardware address on the detour, Assigned the one of the other end.
	Unassigned, Assigned net.HardwareAddr

	link *Link
	from *device
	to   *device
}

// Detour begins a detour of what from sends over the link. It lasts until
// [Detour.End], also while the link goes down and up. A link has at most one in
// each direction.
func (l *Link) Detour(from *Host) (*Detour, error) {
	what := fmt.Sprintf("detour from %v over link %s", from, l)
	if err := l.lab.checkOpen(what); err != nil {
		return nil, err
	}
	d := &Detour{link: l, from: l.end(from), to: l.farEnd(from)}
	if d.from == nil {
		return nil, fmt.Errorf("%s: the link does not reach the host: choose one of its ends", what)
	}
	var err error
	if d.Assigned, err = d.to.hardwareAddress(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	d.Unassigned = unassignedBeside(d.Assigned)
	l.lab.mu.Lock()
	taken := d.from.neighbour != nil
	if !taken {
		d.from.neighbour = d.Unassigned
	}
	l.lab.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("%s: the link has a detour in this direction: end it first", what)
	}
	if err := d.from.setNeighbours(d.to, d.Unassigned, true); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return d, nil
}

// UnassignedAt returns the hardware address that a detour to the host will lead to. A
// program that reads the frames needs it before the detour begins.
func (l *Link) UnassignedAt(host *Host) (net.HardwareAddr, error) {
	d := l.end(host)
	if d == nil {
		return nil, fmt.Errorf("hardware address of %v on link %s: the link does not reach the host: choose one of its ends", host, l)
	}
	address, err := d.hardwareAddress()
	if err != nil {
		return nil, err
	}
	return unassignedBeside(address), nil
}

// unassignedBeside returns another address that is local to the link and meant for one
// station, too (IEEE 802).
func unassignedBeside(address net.HardwareAddr) net.HardwareAddr {
	unassigned := append(net.HardwareAddr(nil), address...)
	unassigned[0] ^= 0x04
	return unassigned
}

// End leads the packets straight again. Frames that were sent before still go
// the detour.
func (d *Detour) End() error {
	d.link.lab.mu.Lock()
	d.from.neighbour = nil
	d.link.lab.mu.Unlock()
	if err := d.from.setNeighbours(d.to, d.Assigned, false); err != nil {
		return fmt.Errorf("end the detour from %v over link %s: %w", d.from.host, d.link, err)
	}
	return nil
}

// hardwareAddress returns the device's own.
func (d *device) hardwareAddress() (net.HardwareAddr, error) {
	state, err := d.State()
	return state.HardwareAddr, err
}

// setNeighbours says at which hardware address the other end has its addresses.
func (d *device) setNeighbours(far *device, at net.HardwareAddr, fixed bool) error {
	for _, family := range Families {
		if family == IPv6 && (d.In.IPv6Err() != nil || far.In.IPv6Err() != nil) {
			continue
		}
		if err := d.SetNeighbour(far.addr(family), at, fixed); err != nil {
			return err
		}
	}
	return nil
}

// keepDetour sets again what the kernel forgot when the device went down.
func (d *device) keepDetour() error {
	d.host.lab.mu.Lock()
	unassigned := d.neighbour
	d.host.lab.mu.Unlock()
	if unassigned == nil {
		return nil
	}
	for _, link := range d.host.Links() {
		if link.end(d.host) == d {
			return d.setNeighbours(link.farEnd(d.host), unassigned, true)
		}
	}
	return nil
}
