// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"

	"forkrig/rig"
)

// LinkDown takes a link down, at both ends, in both directions and for both
// families. Neither host has a carrier. Packets are lost without an answer, those
// on their way included; a sender that has no other route gets ENETUNREACH from
// connect(2). Connections that stand keep what was written and send it again
// until their timers end them. In IPv6 both hosts lose their addresses on the link
// meanwhile, so that connections to these addresses over other links stand still,
// too (net.ipv6.conf.*.keep_addr_on_down); in IPv4 they go on.
//
// Healing brings the link up with its addresses and routes, and returns when both
// ends have a carrier. Connections go on with their next retransmission. An end
// that another fault took down already is refused.
type LinkDown struct {
	Link *rig.Link
}

func (f LinkDown) String() string { return fmt.Sprintf("takes link %s down", linkName(f.Link)) }

// Break implements [Fault].
func (f LinkDown) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkLink(lab, f.Link); err != nil {
		return nil, err
	}
	var undoing undoing
	for _, host := range f.Link.Hosts() {
		release, err := claimDevice(lab, "the state", f.Link, host)
		if err != nil {
			return undoing.or(ctx, err)
		}
		undoing.release(release)
	}
	undoing.add(f.Link.Up)
	return undoing.or(ctx, f.Link.Down())
}

// Unplugged takes the host's own ends of all its links down, as if its cables had
// been pulled: no packet leaves it and none reaches it. The other hosts lose the
// carrier but keep their addresses and routes, so that what they send is lost
// without an error. On the host itself connect(2) gives ENETUNREACH; its loopback
// works on.
//
// Healing brings all these ends up with their addresses and routes. A link that
// another fault took down already is refused; two hosts of one link may be
// unplugged, and healed in any order.
type Unplugged struct {
	Host *rig.Host
}

func (f Unplugged) String() string { return fmt.Sprintf("unplugs %s", nameOf(f.Host)) }

// Break implements [Fault].
func (f Unplugged) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkHost(lab, "Host", f.Host); err != nil {
		return nil, err
	}
	links := f.Host.Links()
	if len(links) == 0 {
		return nil, fmt.Errorf("%v has no link: make one first", f.Host)
	}
	var undoing undoing
	for _, link := range links {
		release, err := claimDevice(lab, "the state", link, f.Host)
		if err != nil {
			return undoing.or(ctx, err)
		}
		undoing.release(release)
	}
	undoing.add(f.Host.Plug)
	return undoing.or(ctx, f.Host.Unplug())
}
