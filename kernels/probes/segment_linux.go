// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// segment is a TCP segment between two sockets on 127.0.0.1 (RFC 9293, 3.1).
type segment struct {
	from, to int // ports
	seq, ack uint32
	flags    byte
	window   uint16
	scale    int // of windows, where a SYN says it; otherwise -1
	payload  int // its length
}

const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

func (s segment) has(flags byte) bool { return s.flags&flags == flags }

// wire sees every TCP segment of the namespace that arrives over IPv4, and sends more
// (raw(7)).
type wire struct{ *socket }

// wire begins to watch. Requires CAP_NET_RAW over the namespace.
func (n *namespace) wire() wire {
	s, err := n.open(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
	if errors.Is(err, unix.EPERM) {
		n.missing("CAP_NET_RAW", err)
	}
	n.must(err, "open a raw socket")
	return wire{s}
}

// next waits for a segment that match says yes to, and drops those before it.
func (w wire) next(what string, match func(segment) bool) segment {
	for {
		w.awaitEvents(unix.POLLIN, what)
		if seen, any := w.seen(); any && match(seen) {
			return seen
		}
	}
}

// all returns the segments that arrived since the last call.
func (w wire) all() (all []segment) {
	for {
		seen, any := w.seen()
		if !any {
			return all
		}
		all = append(all, seen)
	}
}

// seen returns the segment that arrived next.
func (w wire) seen() (segment, bool) {
	packet := make([]byte, 1<<16)
	length, _, err := unix.Recvfrom(w.fd, packet, 0)
	if errors.Is(err, unix.EAGAIN) {
		return segment{}, false
	}
	w.n.must(err, "read a segment")
	return parseSegment(packet[:length])
}

const (
	ipHeaderLen  = 20 // at least
	tcpHeaderLen = 20 // at least
)

// parseSegment parses an IPv4 packet.
func parseSegment(packet []byte) (segment, bool) {
	if len(packet) < ipHeaderLen {
		return segment{}, false
	}
	b := packet[min(int(packet[0]&15)*4, len(packet)):]
	if len(b) < tcpHeaderLen {
		return segment{}, false
	}
	header := max(int(b[12]>>4)*4, tcpHeaderLen)
	if len(b) < header {
		return segment{}, false
	}
	return segment{
		from: int(binary.BigEndian.Uint16(b)), to: int(binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]),
		flags: b[13], window: binary.BigEndian.Uint16(b[14:]),
		scale:   windowScale(b[tcpHeaderLen:header]),
		payload: len(b) - header,
	}, true
}

// windowScale returns the window scale in the options of a SYN (RFC 7323, 2.2), or -1.
func windowScale(options []byte) int {
	for len(options) > 0 && options[0] != 0 {
		if options[0] == 1 { // no operation
			options = options[1:]
			continue
		}
		if len(options) < 2 || options[1] < 2 || len(options) < int(options[1]) {
			break
		}
		if options[0] == 3 && options[1] == 3 {
			return int(options[2])
		}
		options = options[options[1]:]
	}
	return -1
}

// send sends a segment without options, with zeros as its payload.
func (w wire) send(s segment) {
	b := make([]byte, 0, tcpHeaderLen+s.payload)
	b = binary.BigEndian.AppendUint16(b, uint16(s.from))
	b = binary.BigEndian.AppendUint16(b, uint16(s.to))
	b = binary.BigEndian.AppendUint32(b, s.seq)
	b = binary.BigEndian.AppendUint32(b, s.ack)
	b = append(b, tcpHeaderLen/4<<4, s.flags)
	b = binary.BigEndian.AppendUint16(b, s.window)
	b = append(b, make([]byte, 4+s.payload)...) // the checksum, no urgent data, the payload
	binary.BigEndian.PutUint16(b[16:], checksum(b))
	w.n.must(unix.Sendto(w.fd, b, 0, sockaddr("127.0.0.1:0")), "send a segment")
}

// checksum is that of a segment from 127.0.0.1 to 127.0.0.1 (RFC 9293, 3.1).
func checksum(b []byte) uint16 {
	const loopback = 0x7f00 + 0x0001
	sum := uint32(2*loopback + unix.IPPROTO_TCP + len(b))
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
