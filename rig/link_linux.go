// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// createVeth makes a veth pair whose ends appear in the two namespaces at once,
// without passing through a third. Requires CAP_NET_ADMIN and CONFIG_VETH.
func createVeth(a, b *device) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.name
	err := a.host.ns.route.LinkAdd(&netlink.Veth{
		LinkAttrs:     attrs,
		PeerName:      b.name,
		PeerNamespace: netlink.NsFd(b.host.ns.handle),
	})
	if err != nil {
		return explainVethError(err)
	}
	for _, d := range []*device{a, b} {
		link, err := d.host.ns.route.LinkByName(d.name)
		if err != nil {
			return fmt.Errorf("find %s on %s: %w", d.name, d.host.Name, err)
		}
		d.index = link.Attrs().Index
	}
	return nil
}

// explainVethError turns the error of RTM_NEWLINK into what a person can do.
func explainVethError(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("create a veth pair: %w: the kernel lacks CONFIG_VETH, or its module is not loaded (sudo modprobe veth)", err)
	}
	return fmt.Errorf("create a veth pair: %w", err)
}

// up brings the device up with its addresses and routes. Repeating it changes
// nothing. carrier is awaited separately, because it needs both ends.
func (d *device) up() error {
	// Before it can send: no packet misses a detour.
	if err := d.keepDetour(); err != nil {
		return err
	}
	if err := d.host.ns.route.LinkSetUp(d.netlinkRef()); err != nil {
		return fmt.Errorf("bring %s on %s up: %w", d.name, d.host.Name, err)
	}
	return d.address()
}

// address gives the device its addresses.
func (d *device) address() error {
	link := d.netlinkRef()
	for _, family := range Families {
		prefix := d.addresses[family]
		address := &netlink.Addr{IPNet: ipNet(prefix)}
		if family == IPv6 {
			// Duplicate-address detection holds an address back for a second or
			// more (RFC 4862 section 5.4); on a link of our own there is no duplicate.
			address.Flags = unix.IFA_F_NODAD
		}
		if err := d.host.ns.route.AddrReplace(link, address); err != nil {
			if family == IPv6 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)) {
				d.host.withoutIPv6(err)
				continue
			}
			return fmt.Errorf("give %s on %s the address %s: %w", d.name, d.host.Name, prefix, err)
		}
	}
	return nil
}

// routes sets the default routes through the device. The kernel drops them when
// a device goes down and does not bring them back.
func (d *device) routes() error {
	for family, gateway := range d.gateway {
		if family == IPv6 && d.host.lacksIPv6() {
			continue
		}
		route := &netlink.Route{LinkIndex: d.index, Gw: gateway.AsSlice()}
		if err := d.host.ns.route.RouteReplace(route); err != nil {
			return fmt.Errorf("route %s by default through %s: %w", d.host.Name, gateway, err)
		}
	}
	return nil
}

func (d *device) down() error {
	if err := d.host.ns.route.LinkSetDown(d.netlinkRef()); err != nil {
		return fmt.Errorf("take %s on %s down: %w", d.name, d.host.Name, err)
	}
	return nil
}

// isUp says whether the device was brought up, whether or not it has a carrier.
func (d *device) isUp() (bool, error) {
	link, err := d.host.ns.route.LinkByIndex(d.index)
	if err != nil {
		return false, fmt.Errorf("look at %s on %s: %w", d.name, d.host.Name, err)
	}
	return link.Attrs().Flags&net.FlagUp != 0, nil
}

// awaitCarrier waits until the device can send. The end that came up first
// learns of its carrier from a kernel worker; until then it drops every packet,
// and the first connection would wait a second for its SYN to be repeated.
func (d *device) awaitCarrier(ctx context.Context) error {
	return Await(ctx, fmt.Sprintf("carrier on %s of %s", d.name, d.host.Name), func() (bool, string, error) {
		link, err := d.host.ns.route.LinkByIndex(d.index)
		if err != nil {
			return false, "", err
		}
		state := link.Attrs().OperState
		return state == netlink.OperUp, state.String(), nil
	})
}

// awaitAddress waits until the host takes packets to the device's IPv6 address for
// its own. A kernel worker sees to that (addrconf_dad_work), also where there is
// no duplicate to detect; what arrives before is dropped. In IPv4 it is so at once.
func (d *device) awaitAddress(ctx context.Context) error {
	if d.host.lacksIPv6() {
		return nil
	}
	address := d.addresses[IPv6].Addr()
	return Await(ctx, fmt.Sprintf("a local route to %v on %s", address, d.host.Name), func() (bool, string, error) {
		routes, err := d.host.ns.route.RouteGet(address.AsSlice())
		if err != nil || len(routes) == 0 {
			return false, fmt.Sprintf("none: %v", err), nil
		}
		return routes[0].Type == unix.RTN_LOCAL, routes[0].String(), nil
	})
}

func (d *device) netlinkRef() netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: d.name, Index: d.index}}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
