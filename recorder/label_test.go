// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestLabel(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"server", "server"},
		{"exactly 16 bytes", "exactly 16 bytes"},
		{"more than 16 bytes", "more than 16 …"},
		{"two\nlines", "two lines"},
		{"a\x00b\x1bc", "a\ufffdb\ufffdc"},
		{"\xff\xfe", "\ufffd\ufffd"},
		{"a\u202eb", "a\ufffdb"},
		{"äöüäöüäöü", "äöüäöü…"},
		{"\xff\xff\xff\xff\xff\xff\xff", "\ufffd\ufffd\ufffd\ufffd…"},
		{strings.Repeat("\x00", 1<<20), "\ufffd\ufffd\ufffd\ufffd…"},
	} {
		assert.Equal(t, test.want, label(test.text, 16), "%.40q", test.text)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("worker\n", 5)
	f.Add("\xff\u202e𝄞", 4)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 3 + int(uint(limit)%100)
		got := label(text, limit)
		assert.LessOrEqual(t, len(got), limit)
		assert.True(t, utf8.ValidString(got))
		assert.False(t, strings.ContainsFunc(got, unicode.IsControl))
		if len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			assert.Equal(t, text, got)
		}
	})
}
