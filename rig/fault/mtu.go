// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"

	"forkrig/rig"
)

// MTU makes a link's largest packet smaller, or larger: Bytes, of the IP packet
// with its header, at both ends, or at the one end On. The kernel there sends no
// longer packets from then on, in connections that stand, too. An end drops longer
// packets that it receives, without an answer; with one end alone that is what
// becomes of the other one's (those excepted that TCP segmentation offload has left
// whole). Below 1280 bytes a link has no IPv6 (RFC 8200 section 5).
//
// With Silent the hosts do not know of it: what is longer than Bytes is lost on the
// link without an answer, towards both ends, or with On towards that end. That is
// a black hole of path MTU discovery: handshakes and short messages pass, long
// ones are sent again for ever (with net.ipv4.tcp_mtu_probing they shrink).
//
// Healing restores the former MTU, with the addresses and routes of IPv6. A second
// MTU at the same end is refused; Silent ones may overlap. Silent requires
// nf_tables in the kernel (CONFIG_NF_TABLES_INET).
type MTU struct {
	Link   *rig.Link
	Bytes  int
	On     *rig.Host // one end; nil: both
	Silent bool
}

func (f MTU) String() string {
	what := "lowers the MTU of link"
	if f.Silent {
		what = "loses long packets on link"
	}
	text := fmt.Sprintf("%s %s, %d bytes", what, linkName(f.Link), f.Bytes)
	if f.On != nil {
		text += ", at " + f.On.Name
	}
	return text
}

// Break implements [Fault].
func (f MTU) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkLink(lab, f.Link); err != nil {
		return nil, err
	}
	hosts := f.Link.Hosts()
	ends := hosts[:]
	if f.On != nil {
		if err := checkEnd(lab, f.Link, "On", f.On); err != nil {
			return nil, err
		}
		ends = []*rig.Host{f.On}
	}
	const least, most = 68, 65535 // RFC 791 section 3.2; an IPv4 packet's length
	if f.Bytes < least || f.Bytes > most {
		return nil, fmt.Errorf("the MTU Bytes is %d: give %d to %d", f.Bytes, least, most)
	}
	var undoing undoing
	for _, host := range ends {
		one := f.lower
		if f.Silent {
			one = f.lose
		}
		if err := one(lab, host, &undoing); err != nil {
			return undoing.or(ctx, err)
		}
	}
	return undoing.undo, nil
}

// leastForIPv6 is the smallest MTU of a link that carries IPv6, in bytes (RFC 8200
// section 5).
const leastForIPv6 = 1280

// lower sets the MTU of one end.
func (f MTU) lower(lab *rig.Lab, host *rig.Host, undoing *undoing) error {
	release, err := claimDevice(lab, "the MTU", f.Link, host)
	if err != nil {
		return err
	}
	undoing.release(release)
	before, err := setMTU(host, f.Link.Device(host), f.Bytes)
	if err != nil {
		return fmt.Errorf("set the MTU of %s on %v: %w", f.Link.Device(host), host, err)
	}
	undoing.add(func(ctx context.Context) error {
		if _, err := setMTU(host, f.Link.Device(host), before); err != nil {
			return err
		}
		if f.Bytes >= leastForIPv6 {
			return nil
		}
		return f.Link.Readdress(ctx, host)
	})
	return nil
}

// lose drops long packets that reach one end.
func (f MTU) lose(_ *rig.Lab, host *rig.Host, undoing *undoing) error {
	// Whole packets: the rule would measure up to 64 KiB of a stream otherwise.
	undo, err := f.Link.Segment(f.Link.Peer(host))
	if err != nil {
		return err
	}
	undoing.add(func(context.Context) error { return undo() })
	remove, err := dropLonger(host, f.Link.Device(host), f.Bytes)
	if err != nil {
		return fmt.Errorf("drop long packets on %v: %w", host, err)
	}
	undoing.add(func(context.Context) error { return remove() })
	return nil
}
