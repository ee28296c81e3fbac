// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hardwareAddress returns the device's own.
func (d *device) hardwareAddress() (net.HardwareAddr, error) {
	link, err := d.host.ns.route.LinkByIndex(d.index)
	if err != nil {
		return nil, fmt.Errorf("look at %s of %s: %w", d.name, d.host.Name, err)
	}
	return link.Attrs().HardwareAddr, nil
}

// setNeighbours says at which hardware address the other end has its addresses.
// Fixed entries are neither checked nor overruled by what neighbours say; the
// kernel drops them when the device goes down (neigh_ifdown). Requires CAP_NET_ADMIN.
func (d *device) setNeighbours(far *device, at net.HardwareAddr, fixed bool) error {
	state := netlink.NUD_REACHABLE
	if fixed {
		state = netlink.NUD_PERMANENT
	}
	for _, family := range Families {
		if family == IPv6 && (d.host.lacksIPv6() || far.host.lacksIPv6()) {
			continue
		}
		err := d.host.ns.route.NeighSet(&netlink.Neigh{
			LinkIndex: d.index, State: state, IP: far.addresses[family].Addr().AsSlice(), HardwareAddr: at,
		})
		// An MTU below 1280 bytes has taken IPv6 off the device.
		if family == IPv6 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("set the neighbour %v of %s on %s: %w", far.addresses[family].Addr(), d.name, d.host.Name, err)
		}
	}
	return nil
}
