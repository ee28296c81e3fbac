// SPDX-License-Identifier: Apache-2.0

package report

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name, text string
		limit      int
		want       string
	}{
		{"empty", "", 10, ""},
		{"printable", "größe ✓ 漢字", 40, "größe ✓ 漢字"},
		{"markup stays text", "<b>&amp;</b>", 40, "<b>&amp;</b>"},
		{"control characters", "a\x00b\x1b[31mc\x7f", 40, `a\x00b\x1b[31mc\x7f`},
		{"C1", "a\u0085b", 40, `a\u0085b`},
		{"right to left", "\u202egnp.exe", 40, `\u202egnp.exe`},
		{"isolates and marks", "\u2066a\u2069\u200f\ufeff", 60, `\u2066a\u2069\u200f\ufeff`},
		{"line and paragraph separators", "a\u2028b\u2029c", 40, `a\u2028b\u2029c`},
		{"no UTF-8", "\xff\xc0\xaf", 40, `\xff\xc0\xaf`},
		{"lone surrogate", "\xed\xa0\x80", 40, `\xed\xa0\x80`},
		{"lines", "a\r\nb\n", 40, "a\nb\n"},
		{"as long as may be", "1234567890", 10, "1234567890"},
		{"too long", "1234567890123", 10, "1234567890… (3 bytes left out)"},
		{"not within a character", "12345678éé", 9, "12345678… (4 bytes left out)"},
		{"what is spelled out is longer", "\x01\x02\x03\x04\x05\x06\x07\x08", 16, `\x01\x02\x03\x04… (4 bytes left out)`},
		{"1 MB", strings.Repeat("x", 1<<20), 4, "xxxx… (1048572 bytes left out)"},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, clean(c.text, c.limit)) })
	}
}

// words are what clean says where it leaves something out.
var words = regexp.MustCompile(`… \([0-9]+ bytes left out\)$`)

func FuzzClean(f *testing.F) {
	for _, text := range []string{"", "a\x00\xff\u202e", "</script>", strings.Repeat("\x1b", 100), "\xed\xa0\x80é"} {
		f.Add(text, 20)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(limit, 0)
		shown := clean(text, limit)
		assert.True(t, utf8.ValidString(shown))
		for _, r := range shown {
			assert.True(t, unicode.IsPrint(r) || r == '\n', "%q in %q", r, shown)
		}
		assert.LessOrEqual(t, len(words.ReplaceAllString(shown, "")), max(limit, 0))
	})
}

func TestShares(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		room  int
		want  []int
	}{
		{nil, 10, []int{}},
		{[]int{1, 2, 3}, 10, []int{1, 2, 3}},
		{[]int{100, 2, 100}, 42, []int{20, 2, 20}},
		{[]int{100, 2, 30}, 62, []int{30, 2, 30}},
		{[]int{5, 5}, -3, []int{0, 0}},
	} {
		assert.Equal(t, c.want, shares(c.sizes, c.room))
	}
}
