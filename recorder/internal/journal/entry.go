// SPDX-License-Identifier: Apache-2.0

// Package journal writes entries in the Journal Export Format of systemd, and as blocks of pcapng.
package journal

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// Field is a field of an entry (systemd.journal-fields(7)). The name consists of capital letters,
// digits and underscores; the value may be any bytes.
type Field struct{ Name, Value string }

// blockType is the type of the systemd Journal Export Block of pcapng.
const blockType = 9

// AppendEntry appends fields as an entry. The empty line that separates an entry from the next is
// not part of it.
func AppendEntry(b []byte, fields []Field) []byte {
	for _, f := range fields {
		b = append(b, f.Name...)
		if isText(f.Value) {
			b = append(b, '=')
		} else {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f.Value)))
		}
		b = append(b, f.Value...)
		b = append(b, '\n')
	}
	return b
}

// isText says whether a value may stand behind the name and "=": the format wants valid
// UTF-8 without control characters there, except the tab.
func isText(value string) bool {
	if !utf8.ValidString(value) {
		return false
	}
	for _, r := range value {
		if r != '\t' && unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// AppendBlock appends an entry as a systemd Journal Export Block of pcapng, in little-endian byte
// order. A block of 4 GiB or more does not fit into the format: the caller has a lower limit.
func AppendBlock(b []byte, fields []Field) []byte {
	begin := len(b)
	b = binary.LittleEndian.AppendUint32(b, blockType)
	b = append(b, 0, 0, 0, 0) // its length, which is not yet known
	b = AppendEntry(b, fields)
	for (len(b)-begin)%4 != 0 {
		b = append(b, 0)
	}
	length := uint32(len(b) - begin + 4)
	binary.LittleEndian.PutUint32(b[begin+4:], length)
	return binary.LittleEndian.AppendUint32(b, length)
}
