// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// decode reads the first bytes of an Ethernet frame. It leaves out what it cannot read: a header
// that is cut or contradicts itself, and all behind it. Checksums are not checked.
func decode(frame []byte) segment {
	var s segment
	if len(frame) < 14 {
		return s
	}
	switch data := frame[14:]; binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		s.enterIPv4(data)
	case 0x86dd:
		s.enterIPv6(data)
	}
	return s
}

// enterIPv4 enters a packet of IPv4 (RFC 791). Of a datagram in fragments, the first one is read.
func (s *segment) enterIPv4(data []byte) {
	if len(data) < 20 || data[0]>>4 != 4 {
		return
	}
	header, length := int(data[0]&15)*4, int(binary.BigEndian.Uint16(data[2:]))
	if length == 0 { // the network card would cut it into segments
		length = len(data)
	}
	if header < 20 || header > min(length, len(data)) {
		return
	}
	s.from, s.to = hostOnly(data[12:16]), hostOnly(data[16:20])
	if binary.BigEndian.Uint16(data[6:])&0x1fff == 0 {
		s.enterPayload(data[9], data[header:min(length, len(data))], length-header)
	}
}

// enterIPv6 enters a packet of IPv6 with its extension headers (RFC 8200), as [segment.enterIPv4].
func (s *segment) enterIPv6(data []byte) {
	const hopByHop, routing, fragment, destination = 0, 43, 44, 60
	if len(data) < 40 || data[0]>>4 != 6 {
		return
	}
	s.from, s.to = hostOnly(data[8:24]), hostOnly(data[24:40])
	protocol, length := data[6], int(binary.BigEndian.Uint16(data[4:]))
	data = data[40:]
	if length == 0 { // more than 16 bits can say
		length = len(data)
	}
	data = data[:min(length, len(data))]
	for {
		switch protocol {
		case hopByHop, routing, fragment, destination:
		default:
			s.enterPayload(protocol, data, length)
			return
		}
		if len(data) < 8 {
			return
		}
		header := 8
		if protocol != fragment {
			header += int(data[1]) * 8
		} else if binary.BigEndian.Uint16(data[2:])>>3 != 0 {
			return
		}
		if header > len(data) {
			return
		}
		protocol, data, length = data[0], data[header:], length-header
	}
}

// enterPayload enters the payload of an IP packet, whose length in bytes is that of data or more.
func (s *segment) enterPayload(protocol byte, data []byte, length int) {
	switch protocol {
	case 1:
		s.enterICMP(data, icmp4)
	case 6:
		s.enterTCP(data, length)
	case 17:
		if len(data) >= 8 { // RFC 768
			s.protocol, s.bytes, s.first = "UDP", length-8, data[8:]
			s.enterPorts(data)
		}
	case 58:
		s.enterICMP(data, icmp6)
	}
}

// enterTCP enters a segment of TCP (RFC 9293).
func (s *segment) enterTCP(data []byte, length int) {
	if len(data) < 20 {
		return
	}
	header := int(data[12]>>4) * 4
	if header < 20 || header > len(data) {
		return
	}
	s.protocol, s.bytes, s.first = "TCP", length-header, data[header:]
	s.enterPorts(data)
	s.seq, s.acked = binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	s.window, s.scale = int(binary.BigEndian.Uint16(data[14:])), windowScale(data[20:header])
	var flags []string
	for _, flag := range tcpFlags {
		if data[13]&flag.bit != 0 {
			flags = append(flags, flag.name)
		}
	}
	s.flags = strings.Join(flags, " ")
	s.fin, s.syn, s.rst, s.ack = data[13]&1 != 0, data[13]&2 != 0, data[13]&4 != 0, data[13]&16 != 0
}

// tcpFlags are in the order in which they are named.
var tcpFlags = [...]struct {
	bit  byte
	name string
}{{2, "SYN"}, {1, "FIN"}, {4, "RST"}, {8, "PSH"}, {32, "URG"}, {16, "ACK"}, {64, "ECE"}, {128, "CWR"}}

// windowScale returns the shift of the window that the options of a segment have (RFC 7323), -1 where
// there is none.
func windowScale(options []byte) int {
	const end, padding, scale = 0, 1, 3
	for len(options) > 0 && options[0] != end {
		length := 1
		if options[0] != padding {
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				break
			}
			length = int(options[1])
		}
		if options[0] == scale && length == 3 {
			return int(min(options[2], 14))
		}
		options = options[length:]
	}
	return -1
}

func (s *segment) enterPorts(data []byte) {
	s.from = netip.AddrPortFrom(s.from.Addr(), binary.BigEndian.Uint16(data))
	s.to = netip.AddrPortFrom(s.to.Addr(), binary.BigEndian.Uint16(data[2:]))
}

func hostOnly(ip []byte) netip.AddrPort {
	address, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(address.Unmap(), 0)
}
