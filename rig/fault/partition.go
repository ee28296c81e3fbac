// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"forkrig/rig"
)

// Partition parts two sets of hosts: IP packets from an address of the one vanish
// when they reach a host of the other, over whatever links they came, without an
// answer and in both families. With OneWay only packets from Between to And
// vanish; those from And to Between arrive. Hosts of the same set reach each
// other.
//
// No call fails at once: connections keep what was written and send it again, attempts to
// connect repeat their SYN. Addresses are resolved as before
// (ARP, and neighbour discovery in IPv6), as if a router between the hosts dropped
// the packets.
//
// Healing lets packets pass again; connections go on with their next
// retransmission, which may be twice as far away as the partition has lasted.
//
// Requires nf_tables in the kernel (CONFIG_NF_TABLES_INET, Linux 3.14), and no
// program. Several partitions may overlap; each is healed for itself.
type Partition struct {
	Between, And []*rig.Host
	OneWay       bool
}

func (f Partition) String() string {
	if f.OneWay {
		return fmt.Sprintf("loses packets from %s to %s", names(f.Between), names(f.And))
	}
	return fmt.Sprintf("parts %s from %s", names(f.Between), names(f.And))
}

// Break implements [Fault].
func (f Partition) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if len(f.Between) == 0 || len(f.And) == 0 {
		return nil, errors.New("one of Between and And is empty: name a host in each")
	}
	if err := errors.Join(checkHosts(lab, "Between", f.Between), checkHosts(lab, "And", f.And)); err != nil {
		return nil, err
	}
	for _, host := range f.Between {
		if slices.Contains(f.And, host) {
			return nil, fmt.Errorf("%v is in Between and in And: put it in one of them", host)
		}
	}
	var undoing undoing
	one := func(from, to []*rig.Host) error {
		addresses := addressesOf(from)
		if len(addresses) == 0 {
			return fmt.Errorf("%s has no address: link it first", names(from))
		}
		for _, host := range to {
			remove, err := dropFrom(host, addresses)
			if err != nil {
				return fmt.Errorf("drop packets on %v: %w", host, err)
			}
			undoing.add(func(context.Context) error { return remove() })
		}
		return nil
	}
	err := one(f.Between, f.And)
	if err == nil && !f.OneWay {
		err = one(f.And, f.Between)
	}
	return undoing.or(ctx, err)
}

func addressesOf(hosts []*rig.Host) []netip.Addr {
	var all []netip.Addr
	for _, host := range hosts {
		all = append(all, host.Addrs()...)
	}
	return all
}
