// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

// port is a port of a host.
type port struct {
	host   string
	number uint16
}

// answer is what a packet says of an address: something listens there, or nothing does.
type answer struct {
	address netip.Addr
	State
}

// hear notes that a SYN was accepted or refused, where that is new of the address. The segment answers a side in
// the state asked. A firewall refuses, too: a look says whether something listens, and the answers say since when.
func (c *connections) hear(host string, at time.Duration, s segment, asked string) {
	now := answer{s.from.Addr(), State{at, listening}}
	if s.rst && s.ack && asked == synSent {
		now.Name = gone
	} else if !s.syn || !s.ack {
		return
	}
	p := port{host, s.from.Port()}
	before := ""
	for _, a := range c.answers[p] {
		if a.address == now.address {
			before = a.Name
		}
	}
	if before != now.Name {
		c.answers[p] = append(c.answers[p], now)
	}
}

// firstAnswer returns when packets said first after a moment that a listener is in the state, or otherwise where
// they did not. Whether one of [::] is one of 0.0.0.0, too, is not known.
func (c *connections) firstAnswer(host string, local netip.AddrPort, state string, after, otherwise time.Duration) time.Duration {
	for _, a := range c.answers[port{host, local.Port()}] {
		wildcard := local.Addr().IsUnspecified() && local.Addr().Is4() == a.address.Is4()
		if a.Name == state && a.At > after && (wildcard || a.address == local.Addr()) {
			return min(a.At, otherwise)
		}
	}
	return otherwise
}

// changed returns when a listener came or went that a look found there or gone at a moment.
func (c *connections) changed(host string, at time.Duration, n socketNote) time.Duration {
	after := n.seen
	if before := c.now[pair{host, n.local, netip.AddrPort{}}]; before != nil {
		after = max(after, before.Ended)
	}
	return c.firstAnswer(host, n.local, n.state, after, at)
}

const never = time.Duration(math.MaxInt64)

// endRefused ends the listeners of which packets said after the last look at their host that they are gone, unless
// a fault may have said so.
func (b *builder) endRefused() {
	for _, k := range b.connections.all {
		if !k.listener || k.Ended != 0 {
			continue
		}
		host, local := k.Server.Host, netip.MustParseAddrPort(k.Server.Address)
		at := b.connections.firstAnswer(host, local, gone, b.socketsAt[host], never)
		if at < never && b.connections.firstAnswer(host, local, listening, at, never) == never && !b.faulty(host, at) {
			k.Server.States = append(k.Server.States, State{at, gone})
			k.end(at)
		}
	}
}

// faulty says whether a fault that may be about the host has not ended before a moment.
func (b *builder) faulty(host string, at time.Duration) bool {
	return slices.ContainsFunc(b.Spans, func(s Span) bool {
		return s.Kind == Fault && (s.Ended == 0 || s.Ended >= at) && (len(s.Hosts) == 0 || slices.Contains(s.Hosts, host))
	})
}
