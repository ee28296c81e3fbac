// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A card has texts that subjects and their peers wrote. They may hold any bytes, so
// every text that reaches a terminal or a page passes through printable.

// printable returns s with every character that is not printable spelled out:
// escape sequences, marks that turn the direction of writing, bytes that are no
// UTF-8. A tab becomes a space. A backslash stays, since commands are to be
// readable; so the spelling does not tell ESC from the four characters \x1b.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xFFFF:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// Printable returns text of unknown origin as it may be shown on a terminal or in
// a log: line by line, with every character that is not printable spelled out.
func Printable(s string) string {
	all := strings.Split(s, "\n")
	for i, line := range all {
		all[i] = printable(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(all, "\n")
}

// oneLine returns s as one printable line; line ends become spaces.
func oneLine(s string) string {
	return strings.Join(lines(s), " ")
}

// lines returns the printable lines of s, without blanks at their ends and
// without empty lines around them.
func lines(s string) []string {
	var all []string
	for line := range strings.Lines(strings.Trim(s, "\r\n")) {
		all = append(all, strings.TrimRight(printable(strings.TrimRight(line, "\r\n")), " "))
	}
	return all
}

// writeLines writes lines, each with its end.
func writeLines(w io.Writer, lines []string) error {
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// shorten returns s without what exceeds the given bytes, and says how much that is.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return fmt.Sprintf("%s… (%d bytes left out)", s[:limit], len(s)-limit)
}

// excerpt returns as much of the beginning and of the end of the lines as fits
// into the given bytes, and says in between how much is left out.
func excerpt(all []string, limit int) []string {
	size := func(lines []string) (bytes int) {
		for _, line := range lines {
			bytes += len(line) + 1
		}
		return bytes
	}
	if size(all) <= limit {
		return all
	}
	head := sort.Search(len(all), func(n int) bool { return size(all[:n+1]) > limit/2 })
	tail := head + sort.Search(len(all)-head, func(n int) bool { return size(all[head+n:]) <= limit/2 })
	gap := fmt.Sprintf("… (%d of %d lines left out, %d bytes)", tail-head, len(all), size(all[head:tail]))
	return slices.Concat(all[:head], []string{gap}, all[tail:])
}

// cut returns at most the given columns of s, the last of them an ellipsis if
// something is missing.
func cut(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	head, _ := split(s, columns-1)
	return strings.TrimRight(head, " ") + "…"
}

// cutWords is cut that cuts at a blank where one is near.
func cutWords(s string, columns int) string {
	shown := cut(s, columns)
	if i := strings.LastIndexByte(shown, ' '); shown != s && i > len(shown)/2 {
		return strings.TrimRight(shown[:i], " :;,") + "…"
	}
	return shown
}

// cutMiddle returns at most the given columns of s: its begin and its end, with an ellipsis
// between them if something is missing.
func cutMiddle(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	head, tail := split(s, columns/2)
	for over := width(head) + 1 + width(tail) - columns; over > 0 && tail != ""; {
		r, size := utf8.DecodeRuneInString(tail)
		tail, over = tail[size:], over-runeWidth(r)
	}
	return head + "…" + tail
}

// split returns the first columns of s, and the rest.
func split(s string, columns int) (head, tail string) {
	used := 0
	for i, r := range s {
		if used += runeWidth(r); used > columns {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// wrap returns a printable line as lines of so many columns, all but the first with an
// indent. It breaks at blanks, and within a word that is longer than a line.
func wrap(s string, columns, indent int) []string {
	var all []string
	start, line := "", ""
	end := func() {
		all = append(all, line)
		start = strings.Repeat(" ", indent)
		line = start
	}
	for word := range strings.FieldsSeq(s) {
		if line != start && width(line)+1+width(word) <= columns {
			line += " " + word
			continue
		}
		if line != start {
			end()
		}
		for word != "" {
			head, tail := split(word, max(columns-width(line), 1))
			if head == "" { // a wide character does not fit
				head, tail = word, ""
			}
			if line, word = line+head, tail; word != "" {
				end()
			}
		}
	}
	if line != start || len(all) == 0 {
		all = append(all, line)
	}
	return all
}

// atMost returns so many of the lines, the last one with an ellipsis if some are missing.
func atMost(all []string, n, columns int) []string {
	if len(all) <= n {
		return all
	}
	last, _ := split(all[n-1], columns-1)
	return append(slices.Clone(all[:n-1]), last+"…")
}

// pad appends blanks to s up to the given columns.
func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(columns-width(s), 0))
}

// width returns the columns that s takes on a terminal, where colours take none.
func width(s string) int {
	columns, colour := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
		default:
			columns += runeWidth(r)
		}
	}
	return columns
}

// grid returns the rows as lines, in which the cells of a column stand below each other. rest cuts
// the last cell of a row, which begins after so many columns.
func grid(rows [][]string, rest func(text string, after int) string) []string {
	lines := make([]string, len(rows))
	last := len(rows[0]) - 1
	for column := range last {
		widest := 0
		for _, row := range rows {
			widest = max(widest, width(row[column]))
		}
		for i, row := range rows {
			lines[i] += pad(row[column], widest) + "  "
		}
	}
	for i, row := range rows {
		lines[i] = strings.TrimRight(lines[i]+rest(row[last], width(lines[i])), " ")
	}
	return lines
}

// runeWidth knows that East Asian characters and pictures are wide. It is no
// full table, and counts combining characters: such text is cut early.
func runeWidth(r rune) int {
	const firstWide = 0x1100
	if r >= firstWide && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) ||
		0x3000 <= r && r <= 0x303F || 0xFF01 <= r && r <= 0xFF60 || 0x1F300 <= r && r <= 0x1FAFF {
		return 2
	}
	return 1
}

// labelled puts a label and a colon before a text, where there are both.
func labelled(label, text string) string {
	if label == "" || text == "" {
		return label + text
	}
	return label + ": " + text
}

// enumerate joins names as a sentence does: "IPv4", "IPv4 and IPv6", "a, b and c".
func enumerate(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// escapeJSON spells out what is not printable in JSON text. Outside of strings
// there is nothing but line ends. It spells out the bracket of ##[, too, which begins a command
// anywhere in a line that a runner of GitHub Actions reads.
func escapeJSON(text []byte) []byte {
	var b []byte
	for _, r := range strings.ReplaceAll(string(text), "##[", `##\u005b`) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
