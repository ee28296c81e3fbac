// SPDX-License-Identifier: Apache-2.0

package pcapng

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPacket compares a whole block with the format's description.
func TestPacket(t *testing.T) {
	got := AppendPacket([]byte("before"), Packet{Interface: 2, At: 1<<32 + 5, Length: 60, Data: []byte("abcde")},
		Text(Comment, "no"), Uint32(PacketFlags, Outbound), Uint64(PacketID, 7))
	assert.Equal(t, "before"+
		"\x06\x00\x00\x00\x48\x00\x00\x00"+ // type, length
		"\x02\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00"+ // interface, time
		"\x05\x00\x00\x00\x3c\x00\x00\x00abcde\x00\x00\x00"+ // lengths, data
		"\x01\x00\x02\x00no\x00\x00"+
		"\x02\x00\x04\x00\x02\x00\x00\x00"+
		"\x05\x00\x08\x00\x07\x00\x00\x00\x00\x00\x00\x00"+
		"\x00\x00\x00\x00"+
		"\x48\x00\x00\x00", string(got))
}

// TestBlocksAreReadBack has pcapgo read texts and data of all lengths that padding depends on, and
// of those at the limit of an option.
func TestBlocksAreReadBack(t *testing.T) {
	for _, length := range []int{0, 1, 2, 3, 4, 5, 1000, 65533, 65534, 65535, 65536, 1 << 17} {
		text := strings.Repeat("x", length)
		want := text[:min(length, 65535)]
		file := AppendSection(nil, Text(SectionApplication, text), Text(Comment, text), Text(SectionHardware, text), Text(SectionOS, text))
		file = AppendInterface(file, Text(InterfaceName, "first"))
		file = AppendInterface(file, Text(InterfaceName, text), Text(Comment, text))
		at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
		packet := Packet{Interface: 1, At: uint64(at.UnixNano()), Length: uint32(length + 3), Data: []byte(text)}
		file = AppendPacket(file, packet, Text(Comment, text), Uint32(PacketFlags, Inbound), Uint64(PacketID, 1<<40))
		packet.Interface = 0
		file = AppendPacket(file, packet)

		for rest := file; len(rest) > 0; {
			require.GreaterOrEqual(t, len(rest), 12)
			size := binary.LittleEndian.Uint32(rest[4:])
			require.Zero(t, size%4)
			require.LessOrEqual(t, int(size), len(rest))
			require.Equal(t, size, binary.LittleEndian.Uint32(rest[size-4:]))
			rest = rest[size:]
		}
		reader, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
		require.NoError(t, err)
		data, about, options, err := reader.ReadPacketDataWithOptions()
		require.NoError(t, err)
		assert.True(t, text == string(data), "%d bytes", length)
		assert.Equal(t, at, about.Timestamp.UTC())
		assert.Equal(t, length+3, about.Length)
		assert.Equal(t, 1, about.InterfaceIndex)
		assert.Equal(t, []string{want}, options.Comments)
		assert.Equal(t, pcapgo.NgEpbFlagDirectionInbound, options.Flags.Direction)
		assert.EqualValues(t, 1<<40, *options.PacketID)
		on, err := reader.Interface(1)
		require.NoError(t, err)
		assert.Equal(t, []string{want, want}, []string{on.Name, on.Comment})
		section := reader.SectionInfo()
		assert.Equal(t, []string{want, want, want, want}, []string{section.Application, section.Comment, section.Hardware, section.OS})
		data, about, _, err = reader.ReadPacketDataWithOptions()
		require.NoError(t, err)
		assert.Equal(t, 0, about.InterfaceIndex)
		assert.Len(t, data, length)
		_, _, err = reader.ReadPacketData()
		assert.ErrorIs(t, err, io.EOF)
	}
}
