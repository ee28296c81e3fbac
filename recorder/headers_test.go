// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reference reads a frame with the layers of gopacket. It is not sure where gopacket gives up on
// something that does not matter here, such as an option of IP, or takes what is forbidden.
func reference(frame []byte) (s segment, sure bool) {
	frame = slices.Clone(frame)
	if len(frame) >= 34 && frame[12] == 8 && frame[13] == 0 && frame[20]&0x1f == 0 && frame[21] == 0 {
		frame[20] &^= 0x20 // it does not look into the first one of several fragments
	}
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	sure = packet.ErrorLayer() == nil
	payload := 0
	all := packet.Layers()
	for i := 0; i < len(all); i++ {
		extension := len(all[i].LayerContents())
		switch l := all[i].(type) {
		case *layers.Ethernet:
			if i > 0 {
				return s, sure
			}
		case *layers.IPv4:
			if i != 1 || all[0].(*layers.Ethernet).EthernetType != layers.EthernetTypeIPv4 {
				return s, sure
			}
			s.from, s.to = hostOnly(l.SrcIP), hostOnly(l.DstIP)
			payload = int(l.Length) - int(l.IHL)*4
			if l.Version != 4 {
				return s, false
			}
		case *layers.IPv6:
			if i != 1 || all[0].(*layers.Ethernet).EthernetType != layers.EthernetTypeIPv6 {
				return s, sure
			}
			s.from, s.to = hostOnly(l.SrcIP), hostOnly(l.DstIP)
			payload = int(l.Length)
			if l.Version != 6 || l.Length == 0 {
				return s, false
			}
		case *layers.IPv6HopByHop, *layers.IPv6Routing, *layers.IPv6Destination:
			payload -= extension
		case *layers.IPv6Fragment:
			payload -= extension
			if l.FragmentOffset > 0 {
				return s, sure
			}
			inner := gopacket.NewPacket(l.Payload, l.NextHeader, gopacket.NoCopy)
			sure = sure && inner.ErrorLayer() == nil
			all = append(all[:i+1:i+1], inner.Layers()...)
		case *layers.TCP:
			s.protocol, s.from, s.to = "TCP", netip.AddrPortFrom(s.from.Addr(), uint16(l.SrcPort)), netip.AddrPortFrom(s.to.Addr(), uint16(l.DstPort))
			s.seq, s.acked, s.window, s.bytes, s.first = l.Seq, l.Ack, int(l.Window), payload-int(l.DataOffset)*4, l.Payload
			s.syn, s.ack, s.fin, s.rst, s.scale = l.SYN, l.ACK, l.FIN, l.RST, -1
			var names []string
			for i, set := range []bool{l.SYN, l.FIN, l.RST, l.PSH, l.URG, l.ACK, l.ECE, l.CWR} {
				if set {
					names = append(names, []string{"SYN", "FIN", "RST", "PSH", "URG", "ACK", "ECE", "CWR"}[i])
				}
			}
			s.flags = strings.Join(names, " ")
			for _, o := range l.Options {
				if o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1 && s.scale < 0 {
					s.scale = int(min(o.OptionData[0], 14))
				}
			}
			return s, sure && !l.Multipath // broken options of it end the others there
		case *layers.UDP:
			s.protocol, s.from, s.to = "UDP", netip.AddrPortFrom(s.from.Addr(), uint16(l.SrcPort)), netip.AddrPortFrom(s.to.Addr(), uint16(l.DstPort))
			s.bytes, s.first = payload-8, l.Payload
			return s, int(l.Length) == payload
		case *layers.ICMPv4:
			s.protocol = "ICMP"
			return s, true
		case *layers.ICMPv6:
			if kind := l.TypeCode.Type(); kind <= layers.ICMPv6TypeEchoReply || kind == layers.ICMPv6TypeRedirect {
				s.protocol = "ICMP"
			}
			return s, len(l.Payload) >= 4
		default:
			return s, sure
		}
	}
	return s, sure
}

// randomFrame returns a packet as gopacket writes it.
func randomFrame(t testing.TB, rnd *rand.Rand) []byte {
	some := func(most int) []byte {
		b := make([]byte, rnd.IntN(most+1))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	address := func(length int) []byte {
		return append(some(0), bytes.Repeat([]byte{byte(1 + rnd.IntN(200))}, length)...)
	}
	yes := func() bool { return rnd.IntN(2) == 0 }
	ether := &layers.Ethernet{SrcMAC: address(6), DstMAC: address(6), EthernetType: layers.EthernetTypeIPv4}
	all := []gopacket.SerializableLayer{ether}
	protocol := []layers.IPProtocol{layers.IPProtocolTCP, layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolICMPv4, layers.IPProtocolICMPv6}[rnd.IntN(5)]
	var network gopacket.NetworkLayer
	if yes() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: address(4), DstIP: address(4)}
		for range rnd.IntN(3) {
			data := some(8)
			ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 7, OptionLength: uint8(len(data) + 2), OptionData: data})
		}
		switch rnd.IntN(8) {
		case 0:
			ip.Flags = layers.IPv4MoreFragments
		case 1:
			ip.FragOffset = uint16(1 + rnd.IntN(8000))
		}
		network = ip
		all = append(all, ip)
	} else {
		ether.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, SrcIP: address(16), DstIP: address(16)}
		network = ip
		all = append(all, ip)
		next := &ip.NextHeader
		if yes() {
			h := &layers.IPv6HopByHop{Options: []*layers.IPv6HopByHopOption{{OptionType: 5, OptionData: make([]byte, 4+8*rnd.IntN(3))}}}
			all, *next, next = append(all, h), layers.IPProtocolIPv6HopByHop, &h.NextHeader
		}
		if rnd.IntN(4) == 0 {
			h := &layers.IPv6Routing{SourceRoutingIPs: nil, Reserved: make([]byte, 4)}
			all, *next, next = append(all, h), layers.IPProtocolIPv6Routing, &h.NextHeader
		}
		if rnd.IntN(4) == 0 {
			h := &layers.IPv6Fragment{MoreFragments: yes(), FragmentOffset: uint16(rnd.IntN(2) * rnd.IntN(8000))}
			all, *next, next = append(all, h), layers.IPProtocolIPv6Fragment, &h.NextHeader
		}
		if rnd.IntN(4) == 0 {
			h := &layers.IPv6Destination{Options: []*layers.IPv6DestinationOption{{OptionType: 5, OptionData: make([]byte, 4+8*rnd.IntN(3))}}}
			all, *next, next = append(all, h), layers.IPProtocolIPv6Destination, &h.NextHeader
		}
		*next = protocol
	}
	switch protocol {
	case layers.IPProtocolTCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(rnd.Uint32()), DstPort: layers.TCPPort(rnd.Uint32()), Seq: rnd.Uint32(), Ack: rnd.Uint32(), Window: uint16(rnd.Uint32()),
			SYN: yes(), ACK: yes(), FIN: yes(), RST: yes(), PSH: yes(), URG: yes(), ECE: yes(), CWR: yes()}
		for range rnd.IntN(4) {
			kind := []layers.TCPOptionKind{layers.TCPOptionKindNop, layers.TCPOptionKindWindowScale, layers.TCPOptionKindMSS, layers.TCPOptionKindTimestamps}[rnd.IntN(4)]
			data := make([]byte, []int{0, 1, 2, 8}[slices.Index([]layers.TCPOptionKind{1, 3, 2, 8}, kind)])
			for i := range data {
				data[i] = byte(rnd.IntN(20))
			}
			tcp.Options = append(tcp.Options, layers.TCPOption{OptionType: kind, OptionLength: uint8(len(data) + 2), OptionData: data})
		}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(network))
		all = append(all, tcp)
	case layers.IPProtocolUDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(rnd.Uint32()), DstPort: layers.UDPPort(rnd.Uint32())}
		require.NoError(t, udp.SetNetworkLayerForChecksum(network))
		all = append(all, udp)
	case layers.IPProtocolICMPv4:
		all = append(all, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(uint8(rnd.IntN(16)), uint8(rnd.IntN(18)))})
	case layers.IPProtocolICMPv6:
		kind := []int{rnd.IntN(6), 126 + rnd.IntN(20)}[rnd.IntN(2)]
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(uint8(kind), uint8(rnd.IntN(9)))}
		require.NoError(t, icmp.SetNetworkLayerForChecksum(network))
		all = append(all, icmp, gopacket.Payload(make([]byte, 4)))
	}
	all = append(all, gopacket.Payload(some(300)))
	buffer := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	return append(buffer.Bytes(), some(8)...) // what fills a short frame is no payload
}

// sameHeaders compares what was read, apart from the words of ICMP.
func sameHeaders(t *testing.T, want, got segment, about string, frame []byte) {
	got.detail = ""
	require.True(t, bytes.Equal(want.first, got.first), "%s: first bytes of % x", about, frame)
	want.first, got.first = nil, nil
	require.Equal(t, want, got, "%s: % x", about, frame)
}

// TestDecodeAgreesWithGopacket reads random packets: whole, cut, and with some bytes changed.
func TestDecodeAgreesWithGopacket(t *testing.T) {
	const packets = 20_000
	rnd := rand.New(rand.NewPCG(1, 2))
	compared := map[string]int{}
	for range packets {
		frame := randomFrame(t, rnd)
		got := decode(frame)
		want, sure := reference(frame)
		if sure {
			compared["whole "+want.protocol]++
			sameHeaders(t, want, got, "whole", frame)
		}

		cut := frame[:rnd.IntN(min(len(frame), 192)+1)]
		part := decode(cut)
		if part.protocol != "" {
			require.True(t, bytes.HasPrefix(got.first, part.first), "% x", cut)
			part.first = got.first
			require.Equal(t, got, part, "what is read of a cut packet is right: % x", cut)
		}
		if want, sure := reference(cut); sure {
			compared["cut "+want.protocol]++
			sameHeaders(t, want, decode(cut), "cut", cut)
		}

		changed := slices.Clone(frame)
		for range 1 + rnd.IntN(3) {
			changed[12+rnd.IntN(min(len(changed)-12, 90))] = []byte{0, 1, 4, 6, 58, 255, byte(rnd.Uint32())}[rnd.IntN(7)]
		}
		if want, sure := reference(changed); sure {
			compared["changed "+want.protocol]++
			sameHeaders(t, want, decode(changed), "changed", changed)
		}
	}
	t.Log(compared)
	for _, protocol := range []string{"whole TCP", "whole UDP", "whole ICMP", "whole ", "cut TCP", "cut UDP", "cut ICMP", "changed TCP", "changed UDP", "changed ICMP", "changed "} {
		assert.Greater(t, compared[protocol], packets/40, protocol)
	}
}

// TestDecodeReadsGarbage decodes what is random behind headers that are right as far as they go. What
// is read of it lies within the frame.
func TestDecodeReadsGarbage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		data := make([]byte, rnd.IntN(193))
		for i := range data {
			data[i] = byte(rnd.Uint32()) >> rnd.IntN(9)
		}
		if len(data) > 20 {
			copy(data[12:], [][]byte{{0x08, 0x00, 0x40 | data[14]&15}, {0x86, 0xdd, 0x60 | data[14]&15}, {0x86, 0xdd, 0x60, 0, 0, 0, data[18], data[19], 60}}[rnd.IntN(3)])
		}
		frame := slices.Clip(slices.Clone(data))
		s := decode(frame)
		require.GreaterOrEqual(t, s.bytes, len(s.first), "% x", frame)
		require.True(t, bytes.HasSuffix(frame, s.first) || bytes.Contains(frame, s.first))
		require.Equal(t, data, frame, "it is only read")
		s.describe(&Packet{})
	}
	for _, frame := range [][]byte{nil, {}, make([]byte, 13), make([]byte, 14), bytes.Repeat([]byte{0xff}, 1<<16)} {
		assert.Equal(t, segment{}, decode(frame))
	}
}

// TestWindowScale reads options of TCP, also those that contradict themselves.
func TestWindowScale(t *testing.T) {
	for options, want := range map[string]int{
		"":                             -1,
		"\x03\x03\x07":                 7,
		"\x01\x01\x03\x03\x07\x00":     7,
		"\x02\x04\x05\xb4\x03\x03\x00": 0,
		"\x03\x03\xff":                 14, // the most that RFC 7323 allows
		"\x00\x03\x03\x07":             -1, // behind the end
		"\x03":                         -1,
		"\x03\x03":                     -1,
		"\x03\x02\x07":                 -1,
		"\x03\x04\x07\x07":             -1,
		"\x08\x00\x03\x03\x07":         -1,
		"\x08\x01\x03\x03\x07":         -1,
		"\x08\xff\x03\x03\x07":         -1,
	} {
		assert.Equal(t, want, windowScale([]byte(options)), "%q", options)
	}
}

func TestMessagesOfICMPInWords(t *testing.T) {
	for _, test := range []struct {
		version    int
		kind, code byte
		want       string // "" where it keeps a link going
	}{
		{4, 0, 0, "echo reply"},
		{4, 3, 1, "destination unreachable (host)"},
		{4, 3, 3, "destination unreachable (port)"},
		{4, 3, 4, "destination unreachable (fragmentation needed)"},
		{4, 3, 13, "destination unreachable (prohibited)"},
		{4, 3, 15, "destination unreachable (precedence too low)"},
		{4, 3, 16, "destination unreachable (code 16)"},
		{4, 5, 1, "redirect (for the host)"},
		{4, 8, 0, "echo request"},
		{4, 8, 3, "echo request (code 3)"},
		{4, 11, 0, "time exceeded (in transit)"},
		{4, 9, 16, "type 9 code 16"},
		{6, 1, 0, "destination unreachable (no route)"},
		{6, 1, 4, "destination unreachable (port)"},
		{6, 2, 0, "packet too big"},
		{6, 3, 1, "time exceeded (in reassembly)"},
		{6, 100, 1, "type 100 code 1"},
		{6, 128, 0, "echo request"},
		{6, 129, 0, "echo reply"},
		{6, 130, 0, ""}, // multicast listeners
		{6, 132, 0, ""},
		{6, 133, 0, ""}, // neighbour discovery
		{6, 135, 0, ""},
		{6, 136, 0, ""},
		{6, 137, 0, "redirect"},
		{6, 143, 0, ""},
	} {
		types := icmp4
		if test.version == 6 {
			types = icmp6
		}
		var s segment
		s.enterICMP([]byte{test.kind, test.code, 0, 0, 0, 0, 0, 0}, types)
		assert.Equal(t, test.want, s.detail)
		assert.Equal(t, test.want != "", s.protocol == "ICMP")
	}
}
