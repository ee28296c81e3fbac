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

// BlackHole takes away one host's way to others: a route of type blackhole
// (ip-route(8)) to each address of To, or to Prefix. Packets of the other
// direction arrive, and cannot be answered.
//
// On that host connect(2) and sendto(2) to these addresses give EINVAL at once.
// Connections that stand get no error: what they send is dropped in the host and
// sent again, until their timers end them (tcp_retries2), in IPv4 with ETIMEDOUT and
// in IPv6 with EINVAL. A connection attempt from outside stays without an
// answer. What the host forwards for others is dropped silently. Its own
// addresses are reached also where Prefix contains them. A host where rp_filter is
// set refuses what comes from there, too.
//
// Healing takes the routes away. A prefix that is in a black hole already is
// refused; one that contains another is not.
type BlackHole struct {
	On *rig.Host
	// To is a host; Prefix is addresses of one family. Give one of the two.
	To     *rig.Host
	Prefix netip.Prefix
}

func (f BlackHole) String() string {
	to := nameOf(f.To)
	if f.To == nil && f.Prefix.IsValid() {
		to = f.Prefix.String()
	}
	return fmt.Sprintf("puts a black hole on %s towards %s", nameOf(f.On), to)
}

// Break implements [Fault].
func (f BlackHole) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkHost(lab, "On", f.On); err != nil {
		return nil, err
	}
	prefixes, err := f.prefixes(lab)
	if err != nil {
		return nil, err
	}
	var undoing undoing
	for _, prefix := range prefixes {
		release, err := lab.Claim(fmt.Sprintf("the route of %v to %v", f.On, prefix))
		if err != nil {
			return undoing.or(ctx, err)
		}
		undoing.release(release)
		if err := addBlackHole(f.On, prefix); err != nil {
			return undoing.or(ctx, fmt.Errorf("add a blackhole route to %v on %v: %w", prefix, f.On, err))
		}
		undoing.add(func(context.Context) error {
			if err := deleteBlackHole(f.On, prefix); err != nil {
				return fmt.Errorf("delete the blackhole route to %v on %v: %w", prefix, f.On, err)
			}
			return nil
		})
	}
	return undoing.undo, nil
}

func (f BlackHole) prefixes(lab *rig.Lab) ([]netip.Prefix, error) {
	switch {
	case f.To == nil && !f.Prefix.IsValid():
		return nil, errors.New("neither To nor Prefix is given: give one of them")
	case f.To != nil && f.Prefix.IsValid():
		return nil, errors.New("both To and Prefix are given: give one of them")
	case f.To == nil:
		return []netip.Prefix{f.Prefix.Masked()}, nil
	}
	if err := checkHost(lab, "To", f.To); err != nil {
		return nil, err
	}
	if f.To == f.On {
		return nil, fmt.Errorf("the host To is %v itself, which reaches its own addresses in any case: give another host", f.To)
	}
	var prefixes []netip.Prefix
	for _, address := range f.To.Addrs() {
		prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
	}
	if len(prefixes) == 0 {
		return nil, fmt.Errorf("%v has no address: link it first", f.To)
	}
	return slices.Clip(prefixes), nil
}
