// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

// addBlackHole adds a blackhole route that comes before others to the same
// prefix: in IPv4 it is the first in the list, in IPv6 it has the smallest metric.
// Requires CAP_NET_ADMIN.
func addBlackHole(host *rig.Host, prefix netip.Prefix) error {
	return withRoutes(host, func(h *netlink.Handle) error {
		if prefix.Addr().Is4() {
			// Without NLM_F_EXCL and NLM_F_REPLACE the kernel puts it in front.
			return h.RouteAddEcmp(blackHole(prefix))
		}
		return h.RouteAdd(blackHole(prefix))
	})
}

func deleteBlackHole(host *rig.Host, prefix netip.Prefix) error {
	return withRoutes(host, func(h *netlink.Handle) error { return h.RouteDel(blackHole(prefix)) })
}

func blackHole(prefix netip.Prefix) *netlink.Route {
	route := &netlink.Route{
		Dst:  &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())},
		Type: unix.RTN_BLACKHOLE,
	}
	if prefix.Addr().Is6() {
		route.Priority = 1
	}
	return route
}

// withRoutes calls f with a netlink handle that speaks of the host.
func withRoutes(host *rig.Host, f func(*netlink.Handle) error) error {
	return host.Do(func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open a netlink socket: %w", err)
		}
		defer handle.Close()
		return f(handle)
	})
}
