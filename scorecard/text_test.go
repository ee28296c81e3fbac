// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireAllPrintable shows a card in every form, and looks for characters that are not printable.
func requireAllPrintable(t *testing.T, card Card) {
	t.Helper()
	var table, colours, markdown, text, difference bytes.Buffer
	require.NoError(t, card.WriteText(&table, Style{Columns: 100}))
	require.NoError(t, card.WriteText(&colours, Style{Colour: true, Columns: 100}))
	require.NoError(t, card.WriteMarkdown(&markdown))
	require.NoError(t, card.WriteJSON(&text))
	d := Diff(card, Card{Subject: card.Subject, Kernel: card.Kernel, EndedBy: card.EndedBy})
	require.NoError(t, d.WriteText(&difference, Style{Columns: 100}))
	requireFits(t, card)
	lines := []string{card.Summary(false), strings.Replace(card.Heading(), "\n", "", 1)}
	for _, r := range card.Checks {
		lines = append(lines, r.Line(Style{Columns: 100}))
		require.LessOrEqual(t, width(r.Line(Style{Columns: 100})), 100)
	}
	require.Equal(t, strings.Join(lines, ""), oneLine(strings.Join(lines, "")))
	painted := regexp.MustCompile("\x1b\\[(2|3[12356]|0)m").ReplaceAllString(colours.String(), "")
	require.Equal(t, table.String(), painted, "colours are all that differs")
	for form, shown := range map[string]string{"table": table.String(), "Markdown": markdown.String(), "JSON": text.String(),
		"difference": difference.String()} {
		require.True(t, utf8.ValidString(shown), form)
		i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
		require.Negative(t, i, "%s is not printable at byte %d: %q", form, i, shown)
	}
	require.Less(t, markdown.Len(), 1<<20)

	// Every row of the Markdown table has as many cells as its heading.
	if _, rows, found := strings.Cut(markdown.String(), "\n| check |"); found {
		rows, _, _ = strings.Cut("| check |"+rows, "\n\n")
		cells := len(families(card.Checks)) + 2
		seen := strings.Split(strings.TrimRight(rows, "\n"), "\n")
		require.Len(t, seen, 2+len(card.rows()))
		for _, row := range seen {
			require.Equal(t, cells+1, strings.Count(row, "|"), row)
		}
	}
}

func TestLine(t *testing.T) {
	for _, v := range []struct {
		Result
		want string
	}{
		{Result{}, "-                               "},
		{Result{Name: "reap", Family: "IPv4", Verdict: Pass, Observed: "all are reaped", Remedy: "not shown"}, "pass   reap               IPv4  all are reaped"},
		{Result{Name: "reap", Family: "IPv6", Verdict: Fail, Observed: "2 zombies", Remedy: "no wait"}, "fail   reap               IPv6  2 zombies"},
		{Result{Name: "reap", Family: "IPv4", Verdict: Broken, Observed: "no worker"}, "broken reap               IPv4  no worker"},
		{Result{Name: "a-name-that-is-longer", Family: "IPv4", Verdict: "odd\x1b", Reason: strings.Repeat("cause ", 20)},
			`odd\x… a-name-that-is-longer  IPv4  cause cause cause cause cause cause cause cause cause cause cau…`},
	} {
		assert.Equal(t, strings.TrimRight(v.want, " "), v.Line(Style{Columns: 100}))
	}
	assert.Equal(t, "\x1b[32mpass\x1b[0m   reap               IPv4", Result{Name: "reap", Family: "IPv4", Verdict: Pass}.Line(Style{Colour: true}))
}

func TestEveryByteIsPrintable(t *testing.T) {
	var every []byte
	for b := range 256 {
		every = append(every, byte(b))
	}
	for _, s := range []string{string(every), "\n|\n", "\\|", "``\n```", "\u0085\u2028\u202e\U000E0001", "\x1b[31m", "\r\r\n\n"} {
		requireAllPrintable(t, Card{Subject: s, Kernel: s, EndedBy: s, Checks: []Result{
			{Name: s, Verdict: Fail, Family: s, Expected: s, Observed: s, Remedy: s, Evidence: []string{s, s}, Reproduce: s},
			{Name: s + "x", Verdict: Broken, Family: s + "y", Expected: s, Observed: s, Reason: s, Evidence: []string{s + s}, Reproduce: s, Findings: []string{s}, Runs: Counts{1, 2, 3, 4, 5, 6}},
			{Name: s + "x", Verdict: Skip, Expected: s, Observed: s, Reason: s, Missing: s, Reproduce: s},
		}})
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"plain, 漢字 ü":              "plain, 漢字 ü",
		"\x1b[31m":                 `\x1b[31m`,
		"a\tb\r\n":                 `a b\x0d\x0a`,
		"\xff\u00e9\xe9":           `\xffé\xe9`,
		"\uFFFD":                   "\uFFFD",
		"\u0085\u202e\U000e0001\b": `\u0085\u202e\U000e0001\x08`,
	} {
		assert.Equal(t, want, printable(s))
	}
}

func TestCut(t *testing.T) {
	for _, v := range []struct {
		s       string
		columns int
		want    string
	}{
		{"", 5, ""},
		{"12345", 5, "12345"},
		{"123456", 5, "1234…"},
		{"123 56", 5, "123…"},
		{"漢字", 4, "漢字"},
		{"漢字漢", 5, "漢字…"},
		{"漢字漢", 4, "漢…"},
	} {
		assert.Equal(t, v.want, cut(v.s, v.columns))
	}
	assert.Equal(t, "漢  |", pad("漢", 4)+"|")
}

func TestCutWords(t *testing.T) {
	assert.Equal(t, "call accept again", cutWords("call accept again", 17))
	assert.Equal(t, "call accept…", cutWords("call accept again", 16))
	assert.Equal(t, "call accept…", cutWords("call accept: again", 16))
	assert.Equal(t, "call accepta…", cutWords("call acceptagainandagain", 13), "no blank is near")
}

func TestCutMiddle(t *testing.T) {
	assert.Equal(t, "12345", cutMiddle("12345", 5))
	assert.Equal(t, "12…56", cutMiddle("123456", 5))
	assert.Equal(t, "漢…6", cutMiddle("漢字漢字漢字漢6", 5))
}

func TestWrap(t *testing.T) {
	for _, v := range []struct {
		s    string
		want []string
	}{
		{"", []string{""}},
		{"one", []string{"one"}},
		{"one two  three", []string{"one two", "  three"}},
		{"12345678 90", []string{"12345678", "  90"}},
		{"1234567890 1", []string{"12345678", "  90 1"}},
		{"a 1234567890", []string{"a", "  123456", "  7890"}},
		{"漢字漢字漢", []string{"漢字漢字", "  漢"}},
	} {
		assert.Equal(t, v.want, wrap(v.s, 8, 2), v.s)
	}
	assert.Equal(t, []string{"one two", "thre…"}, atMost([]string{"one two", "thre", "four"}, 2, 8))
	assert.Equal(t, []string{"12345678"}, atMost([]string{"12345678"}, 1, 8))
	assert.Equal(t, []string{"1234567…"}, atMost([]string{"12345678", "9"}, 1, 8))
}

func TestShorten(t *testing.T) {
	assert.Equal(t, "abc", shorten("abc", 3))
	assert.Equal(t, "ab… (1 bytes left out)", shorten("abc", 2))
	assert.Equal(t, "a… (3 bytes left out)", shorten("a漢", 3), "no character is split")
	assert.Equal(t, "… (3 bytes left out)", shorten("abc", 0))
}

func TestExcerpt(t *testing.T) {
	all := []string{"first", "second", "third", "fourth", "fifth"}
	assert.Equal(t, all, excerpt(all, 100))
	assert.Equal(t, []string{"first", "… (3 of 5 lines left out, 20 bytes)", "fifth"}, excerpt(all, 16))
	assert.Equal(t, []string{"… (5 of 5 lines left out, 32 bytes)"}, excerpt(all, 0))
}

func TestMarkdownFitsASummary(t *testing.T) {
	long := strings.Repeat("漢<", 100_000)
	for name, v := range map[string]struct{ checks, lines, kept int }{
		"one": {1, 50_000, 400}, "many": {40, 5000, 40 * 400}, "thousands": {5000, 20, 0},
	} {
		t.Run(name, func(t *testing.T) {
			card := Card{Subject: long, Kernel: long}
			evidence := strings.Split(strings.Repeat("a line of evidence | with `signs`\n", v.lines), "\n")
			for i := range v.checks {
				r := Result{Name: fmt.Sprint("check", i), Verdict: Fail, Expected: "short", Evidence: evidence}
				if i == 0 {
					r.Expected, r.Observed, r.Remedy, r.Reproduce = long, long, long, long
				}
				card.Checks = append(card.Checks, r)
			}
			var b bytes.Buffer
			require.NoError(t, card.WriteMarkdown(&b))
			assert.LessOrEqual(t, b.Len(), summaryBytes+100)
			assert.GreaterOrEqual(t, strings.Count(b.String(), "line of evidence"), v.kept)
			assert.Contains(t, b.String(), "left out")
		})
	}
}

func TestEnumerate(t *testing.T) {
	assert.Equal(t, "", enumerate(nil))
	assert.Equal(t, "IPv4", enumerate([]string{"", "IPv4"}))
	assert.Equal(t, "IPv4 and IPv6", enumerate([]string{"IPv4", "IPv6"}))
	assert.Equal(t, "a, b and c", enumerate([]string{"a", "b", "c"}))
}

func TestStyleOf(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	assert.Zero(t, StyleOf(nil))
	assert.Zero(t, StyleOf(file))

	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal here: %v", err)
	}
	defer terminal.Close()
	assert.Equal(t, Style{Colour: true, Columns: 100}, StyleOf(terminal), "of a terminal without a size")
	t.Setenv("NO_COLOR", "1")
	assert.Equal(t, Style{Columns: 100}, StyleOf(terminal))
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	assert.Equal(t, Style{Columns: 100}, StyleOf(terminal))
}
