// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readEntry reads an entry of the Journal Export Format as its documentation says: a line
// with "=" is a field; a line without is the name of one, behind which are 8 bytes of length, the
// value, and a newline.
func readEntry(b []byte) ([]Field, error) {
	var fields []Field
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, errors.New("a line does not end")
		}
		name, value, text := bytes.Cut(line, []byte("="))
		if !text {
			if len(rest) < 8 {
				return nil, errors.New("a length is cut")
			}
			length := binary.LittleEndian.Uint64(rest)
			rest = rest[8:]
			if length >= uint64(len(rest)) || rest[length] != '\n' {
				return nil, errors.New("a value does not end")
			}
			value, rest = rest[:length], rest[length+1:]
		} else if !utf8.Valid(value) {
			return nil, errors.New("bytes stand in a text field")
		}
		if len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) {
			return nil, fmt.Errorf("%q is no name", name)
		}
		fields = append(fields, Field{string(name), string(value)})
		b = rest
	}
	return fields, nil
}

func TestEntry(t *testing.T) {
	for _, test := range []struct{ value, want string }{
		{"", "MESSAGE=\n"},
		{"plain", "MESSAGE=plain\n"},
		{"a=b", "MESSAGE=a=b\n"},
		{"a\tb", "MESSAGE=a\tb\n"},
		{"ü𝄞", "MESSAGE=ü𝄞\n"},
		{"\ufffd", "MESSAGE=\ufffd\n"},
		{"a\nb", "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"},
		{"\n", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00\n\n"},
		{"\x00", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00\x00\n"},
		{"\xff", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00\xff\n"},
		{"\x7f", "MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00\x7f\n"},
		{"x\n\n__REALTIME_TIMESTAMP=1\n", "MESSAGE\n\x1a\x00\x00\x00\x00\x00\x00\x00x\n\n__REALTIME_TIMESTAMP=1\n\n"},
		{strings.Repeat("\n", 1<<20), "MESSAGE\n\x00\x00\x10\x00\x00\x00\x00\x00" + strings.Repeat("\n", 1<<20) + "\n"},
	} {
		fields := []Field{{"MESSAGE", test.value}}
		got := AppendEntry(nil, fields)
		if string(got) != test.want { // a megabyte is not printed
			assert.Fail(t, "another entry", "%.60q: got %.100q, want %.100q", test.value, got, test.want)
		}
		read, err := readEntry(got)
		require.NoError(t, err, "%.60q", test.value)
		assert.True(t, read[0] == fields[0] && len(read) == 1, "%.60q", test.value)
	}
}

func TestEntryReaderBites(t *testing.T) {
	for _, broken := range []string{
		"MESSAGE=x", "MESSAGE\n\x01\x00\x00", "MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00abc\n", "=x\n", "message=x\n", "MESSAGE=\xff\n",
		"MESSAGE=a\nb\n", "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffabc\n",
	} {
		_, err := readEntry([]byte(broken))
		assert.Error(t, err, "%q", broken)
	}
}

// FuzzEntry sees that an entry is read back whole, whatever the values hold, and that the
// block around it has the length that it says.
func FuzzEntry(f *testing.F) {
	f.Add("1", "said hello", "worker")
	f.Add("1", "two\nlines\x00\xff", "=")
	f.Add("", "\n\nMESSAGE=x\n", "\x7f\u0085")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		fields := []Field{{"__REALTIME_TIMESTAMP", a}, {"MESSAGE", b}, {"_COMM", c}}
		entry := AppendEntry(nil, fields)
		read, err := readEntry(entry)
		require.NoError(t, err)
		assert.Equal(t, fields, read)

		block := AppendBlock([]byte("before"), fields)[len("before"):]
		require.Zero(t, len(block)%4)
		assert.EqualValues(t, blockType, binary.LittleEndian.Uint32(block))
		assert.EqualValues(t, len(block), binary.LittleEndian.Uint32(block[4:]))
		assert.EqualValues(t, len(block), binary.LittleEndian.Uint32(block[len(block)-4:]))
		body := block[8 : len(block)-4]
		assert.Equal(t, entry, body[:len(entry)])
		assert.Empty(t, bytes.Trim(body[len(entry):], "\x00"))
		assert.Less(t, len(body)-len(entry), 4)
	})
}
