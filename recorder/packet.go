// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
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
	scale      int // of the window, of a SYN; -1 where it has none
	bytes      int // of payload
	first      []byte
	detail     string // of ICMP
}

// decoder reads packets. It is not safe for concurrent use.
type decoder struct {
	ethernet layers.Ethernet
	ip4      layers.IPv4
	ip6      layers.IPv6
	tcp      layers.TCP
	udp      layers.UDP
	icmp4    layers.ICMPv4
	icmp6    layers.ICMPv6
	payload  gopacket.Payload
	parser   *gopacket.DecodingLayerParser
	found    []gopacket.LayerType
}

func newDecoder() *decoder {
	d := &decoder{}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet,
		&d.ethernet, &d.ip4, &d.ip6, &d.tcp, &d.udp, &d.icmp4, &d.icmp6, &d.payload)
	d.parser.IgnoreUnsupported = true
	return d
}

// decode reads the first bytes of a frame. What it cannot read it leaves out.
func (d *decoder) decode(data []byte) segment {
	_ = d.parser.DecodeLayers(data, &d.found) // what was cut is no error of ours
	var s segment
	payload := 0 // of IP, in bytes
	for _, layer := range d.found {
		switch layer {
		case layers.LayerTypeIPv4:
			s.from, s.to = hostOnly(d.ip4.SrcIP), hostOnly(d.ip4.DstIP)
			payload = int(d.ip4.Length) - int(d.ip4.IHL)*4
			if d.ip4.FragOffset > 0 {
				return s
			}
		case layers.LayerTypeIPv6:
			s.from, s.to = hostOnly(d.ip6.SrcIP), hostOnly(d.ip6.DstIP)
			payload = int(d.ip6.Length)
		case layers.LayerTypeTCP:
			s.protocol = "TCP"
			s.from, s.to = withPort(s.from, uint16(d.tcp.SrcPort)), withPort(s.to, uint16(d.tcp.DstPort))
			s.seq, s.acked, s.window = d.tcp.Seq, d.tcp.Ack, int(d.tcp.Window)
			s.syn, s.ack, s.fin, s.rst = d.tcp.SYN, d.tcp.ACK, d.tcp.FIN, d.tcp.RST
			s.flags = flagNames(&d.tcp)
			s.bytes, s.first = max(payload-int(d.tcp.DataOffset)*4, 0), d.tcp.Payload
			s.scale = windowScale(d.tcp.Options)
		case layers.LayerTypeUDP:
			s.protocol = "UDP"
			s.from, s.to = withPort(s.from, uint16(d.udp.SrcPort)), withPort(s.to, uint16(d.udp.DstPort))
			s.bytes, s.first = max(payload-8, 0), d.udp.Payload
		case layers.LayerTypeICMPv4:
			s.protocol, s.detail = "ICMP", d.icmp4.TypeCode.String()
		case layers.LayerTypeICMPv6:
			if d.icmp6.TypeCode.Type() < layers.ICMPv6TypeRouterSolicitation && d.icmp6.TypeCode.Type() != multicastListenerReport {
				s.protocol, s.detail = "ICMP", d.icmp6.TypeCode.String()
			}
		}
	}
	return s
}

// multicastListenerReport is of version 1 (RFC 2710); what follows it keeps a link going.
const multicastListenerReport = 131

func hostOnly(ip []byte) netip.AddrPort {
	address, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(address.Unmap(), 0)
}

func withPort(a netip.AddrPort, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), port) }

func flagNames(t *layers.TCP) string {
	var names []string
	for _, flag := range []struct {
		set  bool
		name string
	}{{t.SYN, "SYN"}, {t.FIN, "FIN"}, {t.RST, "RST"}, {t.PSH, "PSH"}, {t.URG, "URG"}, {t.ACK, "ACK"}, {t.ECE, "ECE"}, {t.CWR, "CWR"}} {
		if flag.set {
			names = append(names, flag.name)
		}
	}
	return strings.Join(names, " ")
}

// windowScale is the shift of the window (RFC 7323), -1 where there is none.
func windowScale(options []layers.TCPOption) int {
	for _, o := range options {
		if o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1 {
			return int(min(o.OptionData[0], 14))
		}
	}
	return -1
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
