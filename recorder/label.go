// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// label returns a text for one line of another program: valid UTF-8 of at most limit bytes, in
// which line breaks and tabs are blanks, and other control characters, also those that turn the
// direction of writing, are U+FFFD. A text that was cut ends with an ellipsis. The limit is at
// least 3.
func label(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit && isPlain(text) {
		return text
	}
	whole := true
	if len(text) > limit { // a megabyte is not read for its first line
		text, whole = text[:limit], false
	}
	var b strings.Builder
	for _, r := range text { // an invalid byte is U+FFFD
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			r = ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	if out := b.String(); whole && len(out) <= limit {
		return out
	}
	out := b.String()
	end := min(limit-len(ellipsis), len(out))
	for end > 0 && end < len(out) && !utf8.RuneStart(out[end]) {
		end--
	}
	return out[:end] + ellipsis
}

// isPlain says whether the text is printable ASCII, as most are.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
