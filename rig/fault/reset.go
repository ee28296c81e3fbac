// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig"
)

// Reset answers TCP segments that match by a reset, as a firewall or a load
// balancer does that has forgotten a connection. It matches what From sends to To.
//
// The segment does not arrive, and its sender learns at once: ECONNRESET, and
// ECONNREFUSED where it was trying to connect. The receiver learns nothing; its
// side of the connection stands, until it sends something itself, which the
// sender's host answers by a reset. With Both the receiver learns first
// (ECONNRESET): its reset is the segment itself, made into one. It is the first with
// data, or with the end of it, which the sender will send again: this time, 200 ms
// later or more, it learns, too. Bare acknowledgements pass until then.
//
// To reset what a server sends, name the server in From, its port in FromPort, and
// the clients in To.
//
// Healing lets segments pass again, those of connections of which one side has
// learnt nothing included. Requires nf_tables in the kernel (CONFIG_NF_TABLES_INET,
// CONFIG_NFT_REJECT_INET); AfterBytes and Both require conntrack as well
// (CONFIG_NFT_CT, CONFIG_NF_CONNTRACK_MARK).
type Reset struct {
	// From are the hosts whose segments match; none means every host.
	From []*rig.Host
	// To are the hosts that the segments are meant for.
	To []*rig.Host
	// FromPort and ToPort are the ports at both sides; 0: any.
	FromPort, ToPort uint16
	// AfterBytes spares a connection until so many bytes have passed, those of
	// both directions and of their headers together. They are counted from when
	// the fault is applied, in the hosts of To.
	AfterBytes uint64
	// Both resets the receiver, too.
	Both bool
}

func (f Reset) String() string {
	from := "every host"
	if len(f.From) > 0 {
		from = names(f.From)
	}
	port := func(n uint16) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(" port %d", n)
	}
	text := fmt.Sprintf("resets what %s%s sends to %s%s", from, port(f.FromPort), names(f.To), port(f.ToPort))
	if f.AfterBytes > 0 {
		text += fmt.Sprintf(" after %d bytes", f.AfterBytes)
	}
	if f.Both {
		text += ", at both sides"
	}
	return text
}

// Break implements [Fault].
func (f Reset) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if len(f.To) == 0 {
		return nil, errors.New("the list To is empty: name the hosts that the segments are meant for")
	}
	if err := errors.Join(checkHosts(lab, "From", f.From), checkHosts(lab, "To", f.To)); err != nil {
		return nil, err
	}
	from := addressesOf(f.From)
	if len(f.From) > 0 && len(from) == 0 {
		return nil, fmt.Errorf("%s has no address: link it first", names(f.From))
	}
	var undoing undoing
	for _, host := range f.To {
		remove, err := resetSegments(host, from, f)
		if err != nil {
			return undoing.or(ctx, fmt.Errorf("reset segments on %v: %w", host, err))
		}
		undoing.add(func(context.Context) error { return remove() })
	}
	return undoing.undo, nil
}
