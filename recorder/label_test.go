// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// TestLabelOfRandomTexts has no fuzz test in its place: tests of this package start the forking
// server, which does not link with the instrumentation.
func TestLabelOfRandomTexts(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", " ", "\n", "\x00", "\xff", "\xf0\x9f", "\u202e", "𝄞", "é", "\x7f", "\u0085"}
	for range 20_000 {
		var b strings.Builder
		for range rnd.IntN(12) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		text, limit := b.String(), 3+rnd.IntN(20)
		got := label(text, limit)
		require.LessOrEqual(t, len(got), limit, "%q", text)
		require.True(t, utf8.ValidString(got), "%q", text)
		require.False(t, strings.ContainsFunc(got, unicode.IsControl), "%q", text)
		if len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			require.Equal(t, text, got)
		}
	}
}
