// SPDX-License-Identifier: Apache-2.0

// Package pcapng writes the blocks of a capture for Wireshark: the format pcapng
// (draft-ietf-opsawg-pcapng), in little-endian byte order. It stands in the place of a library whose
// package variables would be paid for at each start of the binary: see docs/decisions/0019.
package pcapng

import (
	"encoding/binary"
	"math"
	"slices"
)

// The types of blocks.
const (
	sectionBlock   = 0x0a0d0d0a
	interfaceBlock = 1
	packetBlock    = 6
)

// Codes of options. Those above Comment are of one kind of block each.
const (
	Comment uint16 = 1 // text

	SectionHardware    uint16 = 2 // text
	SectionOS          uint16 = 3 // text
	SectionApplication uint16 = 4 // text

	InterfaceName       uint16 = 2 // text
	interfaceResolution uint16 = 9 // of times: 1 byte, the negative power of ten

	PacketFlags uint16 = 2 // 32 bits, of which the lowest two are the direction
	PacketID    uint16 = 5 // 64 bits, the same for all sights of one packet
)

// Directions, as [PacketFlags] have them.
const (
	Inbound  uint32 = 1
	Outbound uint32 = 2
)

// Option is an option of a block.
type Option struct {
	Code  uint16
	Value []byte // at most 65,535 bytes; what is behind them is not written
}

// Text is an option whose value is text, which has to be valid UTF-8.
func Text(code uint16, value string) Option { return Option{code, []byte(value)} }

// Uint32 is an option whose value is a number of 32 bits.
func Uint32(code uint16, value uint32) Option {
	return Option{code, binary.LittleEndian.AppendUint32(nil, value)}
}

// Uint64 is an option whose value is a number of 64 bits.
func Uint64(code uint16, value uint64) Option {
	return Option{code, binary.LittleEndian.AppendUint64(nil, value)}
}

// AppendSection appends the header of a section, with which a file begins. The length of the section
// is left open.
func AppendSection(b []byte, options ...Option) []byte {
	return AppendBlock(b, sectionBlock, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, 0x1a2b3c4d) // the byte order
		b = binary.LittleEndian.AppendUint16(b, 1)          // version 1.0
		b = binary.LittleEndian.AppendUint16(b, 0)
		b = binary.LittleEndian.AppendUint64(b, math.MaxUint64)
		return appendOptions(b, options)
	})
}

// AppendInterface appends the description of an Ethernet interface, whose times are in nanoseconds.
// Packets name it by its number in the order of descriptions, from 0.
func AppendInterface(b []byte, options ...Option) []byte {
	const ethernet = 1 // LINKTYPE_ETHERNET
	return AppendBlock(b, interfaceBlock, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint16(b, ethernet)
		b = append(b, 0, 0)       // reserved
		b = append(b, 0, 0, 0, 0) // packets are of any length
		return appendOptions(b, append(slices.Clip(options), Option{interfaceResolution, []byte{9}}))
	})
}

// Packet is a packet as an interface saw it.
type Packet struct {
	Interface uint32
	At        uint64 // in nanoseconds since the epoch
	Length    uint32 // on the wire, in bytes; at least that of Data
	Data      []byte // its first bytes
}

// AppendPacket appends an enhanced packet block.
func AppendPacket(b []byte, p Packet, options ...Option) []byte {
	return AppendBlock(b, packetBlock, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint32(b, p.Interface)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.At>>32))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.At))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
		b = binary.LittleEndian.AppendUint32(b, p.Length)
		b = appendPadded(b, p.Data)
		return appendOptions(b, options)
	})
}

// AppendBlock appends a block: its type and length, what body appends, padding to 4 bytes, and the
// length once more. A block of 4 GiB or more does not fit into the format: the caller has a lower
// limit.
func AppendBlock(b []byte, kind uint32, body func([]byte) []byte) []byte {
	begin := len(b)
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(b, 0, 0, 0, 0) // its length, which is not yet known
	b = body(b)
	b = appendPadding(b, len(b)-begin)
	length := uint32(len(b) - begin + 4)
	binary.LittleEndian.PutUint32(b[begin+4:], length)
	return binary.LittleEndian.AppendUint32(b, length)
}

func appendOptions(b []byte, options []Option) []byte {
	for _, o := range options {
		value := o.Value[:min(len(o.Value), math.MaxUint16)]
		b = binary.LittleEndian.AppendUint16(b, o.Code)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = appendPadded(b, value)
	}
	return append(b, 0, 0, 0, 0) // opt_endofopt
}

func appendPadded(b, value []byte) []byte { return appendPadding(append(b, value...), len(value)) }

// appendPadding appends what is missing behind so many bytes to a multiple of 4.
func appendPadding(b []byte, length int) []byte {
	return append(b, make([]byte, -length&3)...)
}
