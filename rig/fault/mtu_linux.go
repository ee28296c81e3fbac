// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"github.com/vishvananda/netlink"

	"forkrig/rig"
)

// setMTU sets the MTU of a host's device and returns what it was. Requires
// CAP_NET_ADMIN.
func setMTU(host *rig.Host, device string, bytes int) (before int, err error) {
	err = withRoutes(host, func(h *netlink.Handle) error {
		link, err := h.LinkByName(device)
		if err != nil {
			return err
		}
		before = link.Attrs().MTU
		return h.LinkSetMTU(link, bytes)
	})
	return before, err
}
