// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"fmt"
	"net/netip"
	"strings"
)

// segment is what the headers of a packet say.
type segment struct {
	from, to netip.AddrPort // the port is 0 where it is neither TCP nor UDP
	protocol string         // "TCP", "UDP", "ICMP", or "" for what keeps a link going, such as ARP

	flags      string
	syn        bool
	ack        bool
	fin        bool
	rst        bool
	seq, acked uint32
	window     int
	scale      int // of the window, of TCP; -1 where it has none
	bytes      int // of payload
	first      []byte
	detail     string // of ICMP: type and code in words
}

// describe is the packet in a few words, with numbers as p has them.
func (s segment) describe(p *Packet) string {
	var b strings.Builder
	switch s.protocol {
	case "TCP":
		b.WriteString(s.flags)
		if s.bytes > 0 {
			fmt.Fprintf(&b, ", %d bytes", s.bytes)
		}
	case "ICMP":
		fmt.Fprintf(&b, "ICMP %s", s.detail)
	default:
		fmt.Fprintf(&b, "%s, %d bytes", s.protocol, s.bytes)
	}
	fmt.Fprintf(&b, ", %s → %s", addressText(s.from), addressText(s.to))
	if len(p.Marks) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(p.Marks, ", "))
	}
	return b.String()
}

// addressText leaves out a port that is none.
func addressText(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
