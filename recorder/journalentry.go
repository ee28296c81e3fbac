// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// journalField is a field of a journal entry (systemd.journal-fields(7)). The name consists of
// capital letters, digits and underscores; the value may be any bytes.
type journalField struct{ name, value string }

// appendJournalEntry appends fields in the Journal Export Format of systemd. The empty line that
// separates an entry from the next is not part of it.
func appendJournalEntry(b []byte, fields []journalField) []byte {
	for _, f := range fields {
		b = append(b, f.name...)
		if isJournalText(f.value) {
			b = append(b, '=')
		} else {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(f.value)))
		}
		b = append(b, f.value...)
		b = append(b, '\n')
	}
	return b
}

// isJournalText says whether a value may stand behind the name and "=": the format wants valid
// UTF-8 without control characters there, except the tab.
func isJournalText(value string) bool {
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
