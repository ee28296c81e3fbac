// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"time"
)

// connections finds the connection that a packet or a socket belongs to.
type connections struct {
	all   []*connection
	now   map[pair]*connection // the latest one of each pair of addresses
	owner func(host string, address netip.AddrPort) string
	// answers are what packets say of the addresses of each port, in order of time.
	answers map[port][]answer
}

// pair are two addresses in any order, with the host where they are those of its loopback.
type pair struct {
	host string
	a, b netip.AddrPort
}

// connection is one that goes on.
type connection struct {
	Connection
	client   netip.AddrPort
	next     map[netip.AddrPort]uint32 // the number of the next byte of each side
	first    map[netip.AddrPort]uint32 // the number of its SYN
	scale    map[netip.AddrPort]int    // of its window
	fin      map[netip.AddrPort]uint32 // the number behind its FIN
	full     map[netip.AddrPort]bool   // its last window was 0
	spoke    map[netip.AddrPort]bool   // it has sent another segment than a SYN
	closing  bool                      // a FIN or a RST was seen
	listener bool
	seen     time.Duration // of a listener that is gone: when the last look that saw it began
}

// The sides of a connection, as packets name the one that sent them.
const (
	clientSide = "client"
	serverSide = "server"
)

func pairOf(host string, a, b netip.AddrPort) pair {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	if !a.Addr().IsLoopback() && !b.Addr().IsLoopback() {
		host = ""
	}
	return pair{host, a, b}
}

// open adds a connection.
func (c *connections) open(host string, at time.Duration, client, server netip.AddrPort) *connection {
	k := &connection{client: client, next: map[netip.AddrPort]uint32{}, first: map[netip.AddrPort]uint32{}, scale: map[netip.AddrPort]int{},
		fin: map[netip.AddrPort]uint32{}, full: map[netip.AddrPort]bool{}, spoke: map[netip.AddrPort]bool{}}
	k.ID, k.Began = len(c.all)+1, at
	k.Client = Endpoint{Host: c.owner(host, client), Address: client.String()}
	k.Server = Endpoint{Host: c.owner(host, server), Address: server.String()}
	c.all = append(c.all, k)
	c.now[pairOf(host, client, server)] = k
	return k
}

// ofSegment returns the connection of a segment that left the host then.
func (c *connections) ofSegment(host string, at time.Duration, s segment) *connection {
	k := c.now[pairOf(host, s.from, s.to)]
	opens := s.syn && !s.ack
	if k != nil && opens && k.closing && k.first[s.from] != s.seq {
		k = nil // the same addresses again
	}
	switch {
	case k != nil:
	case s.syn && s.ack:
		k = c.open(host, at, s.to, s.from)
	default:
		k = c.open(host, at, s.from, s.to)
	}
	return k
}

// ofSocket returns the connection of a socket of the host. A listener is one without a client.
func (c *connections) ofSocket(host string, at time.Duration, n socketNote) *connection {
	if n.remote.Port() == 0 {
		key := pair{host, n.local, netip.AddrPort{}}
		k := c.now[key]
		if k == nil || k.Ended != 0 {
			k = &connection{listener: true}
			k.ID, k.Began = len(c.all)+1, at
			k.Server = Endpoint{Host: host, Address: n.local.String()}
			c.all = append(c.all, k)
			c.now[key] = k
		}
		return k
	}
	if k := c.now[pairOf(host, n.local, n.remote)]; k != nil {
		return k
	}
	if n.local.Port() < n.remote.Port() { // the packets were not seen: servers have the lower ports, as a rule
		return c.open(host, at, n.remote, n.local)
	}
	return c.open(host, at, n.local, n.remote)
}

// enterState enters the state of one side's socket, unless packets have changed it since the look began.
func (k *connection) enterState(host string, of look, n socketNote) bool {
	side := &k.Server
	if !k.listener {
		side = k.side(n.local)
	}
	if n.state == synReceived && side.last().At <= of.began {
		k.takeBack(n.local)
	}
	switch before := side.last(); {
	case before.Name == n.state:
		return true
	case before.At > of.began:
		return false
	}
	at := max(of.ended, side.last().At)
	side.Host = host
	side.States = append(side.States, State{At: at, Name: n.state})
	k.end(at)
	return true
}

// end notes that the connection has ended, where both sides have.
func (k *connection) end(at time.Duration) {
	k.Ended = 0
	if over(k.Client) && over(k.Server) {
		k.Ended = at
	}
}

// over says whether a side was not seen, or is gone.
func over(e Endpoint) bool { return len(e.States) == 0 || e.last().Name == gone }

// enterSegment enters what a segment does to the connection, and returns the segment with numbers
// that begin at 0 and with what is special about it.
func (k *connection) enterSegment(s segment) Packet {
	p := Packet{Side: serverSide, Flags: s.flags, Bytes: s.bytes, Window: s.window, First: firstBytes(s.first)}
	if s.from == k.client {
		p.Side = clientSide
	}
	length := uint32(s.bytes)
	if s.syn {
		length++
		k.first[s.from] = s.seq
		if s.scale >= 0 {
			k.scale[s.from] = s.scale
		}
	} else if shift := k.scale[s.from]; len(k.scale) == 2 {
		p.Window <<= shift
	}
	if s.fin {
		length++
	}
	first, known := k.first[s.from]
	if !known && !s.rst {
		first, k.first[s.from] = s.seq, s.seq
	}
	p.Seq = s.seq - first
	if s.ack {
		acked, known := k.first[s.to]
		if !known {
			acked = s.acked
			if !s.rst {
				k.first[s.to] = acked
			}
		}
		p.Ack = s.acked - acked
	}
	next, sent := k.next[s.from]
	switch {
	case s.rst:
		p.Marks = append(p.Marks, "reset")
	case length > 0 && sent && int32(s.seq+length-next) <= 0:
		p.Marks = append(p.Marks, "retransmission")
	case length == 0 && sent && s.seq == next-1 && k.full[s.to]:
		p.Marks = append(p.Marks, "window probe")
	case length == 0 && sent && s.seq == next-1:
		p.Marks = append(p.Marks, "keep-alive")
	}
	if end := s.seq + length; !s.rst && (!sent || int32(end-next) > 0) {
		k.next[s.from] = end
	}
	if k.full[s.from] = p.Window == 0 && !s.rst && !s.syn; k.full[s.from] {
		p.Marks = append(p.Marks, "zero window")
	}
	k.closing = k.closing || s.fin || s.rst
	return p
}
