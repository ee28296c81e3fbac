// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The first screen of a card fits a terminal of 80 columns and 24 lines.
const (
	screenColumns = 80
	maxColumns    = 100 // where the terminal is wider
	screenLines   = 23  // the prompt of the shell takes one
	maxCauses     = 4
	causeLines    = 2 // of each

	nameColumns   = 40
	familyColumns = 12
	remarkColumns = 20 // at least, of a line without a table
	causeIndent   = 2

	lineNameColumns = len("reuse-live-worker") // of a line without a table
)

// NotServed begins the reason for which the checks of a family are skipped in which the subject
// does not serve.
const NotServed = "the subject does not serve "

// Heading returns the subject and the origin of the card in two printable lines.
func (c Card) Heading() string { return printable(c.Subject) + "\n" + c.Origin() }

// WriteText writes the card for a terminal or a log. The first screen has at most 24 lines of
// 80 columns: the subject, what it is, the causes, a row for each check that failed, is broken
// or warns, the names of the others, and the counts. Where not all rows find room, the names
// of those that follow from a cause, and then of the last ones, are listed instead. Below it
// stand details of what is wrong, each in at most ten lines, and the counts again. What is not
// printable in the texts of the card is escaped.
func (c Card) WriteText(w io.Writer, style Style) error {
	lines := c.screen(style)
	if details := c.details(style); len(details) > 0 {
		lines = slices.Concat(lines, []string{""}, details, []string{""}, c.screenSummary(style))
	}
	return writeLines(w, lines)
}

// Line returns the result in one line, for a list that grows as checks end:
// "pass   reap               IPv4  41 workers ended, all are reaped". Lines have their
// columns in common. It says what was observed, and why where nothing was.
func (r Result) Line(style Style) string {
	verdict := string(cmp.Or(r.Verdict, "-"))
	if !r.Verdict.valid() {
		verdict = cut(oneLine(verdict), verdictColumns)
	}
	start := pad(paint(verdict, r.Verdict, style.Colour), verdictColumns) + " " +
		pad(cut(oneLine(r.Name), nameColumns), lineNameColumns) + "  " +
		pad(cut(oneLine(r.Family), familyColumns), len("IPv4")) + "  "
	text := cmp.Or(r.Observed, r.Reason, r.Remedy)
	if r.Verdict == Skip {
		text = r.short()
	}
	return strings.TrimRight(start+style.rest(oneLine(text), width(start)), " ")
}

// Summary returns the counts in one line, and says so where the run did not come to
// its end: "5 pass, 0 fail, 3 broken, 1 skip; incomplete: ended by SIGINT, 3 checks not
// judged".
func (c Card) Summary(colour bool) string {
	text := c.Counts().text(colour)
	if end := c.end(); end != "" {
		text += "; " + paint(end, Broken, colour)
	}
	return text
}

// screenSummary returns the summary with its families in one line, or in two where it is longer.
func (c Card) screenSummary(style Style) []string {
	columns, who := style.screen(), ""
	if all := families(c.Checks); len(all) > 1 {
		who = oneLine(enumerate(all)) + ": "
	}
	counts := c.Counts().text(style.Colour)
	if width(who+counts) > columns {
		who = ""
	}
	if line := who + c.Summary(style.Colour); c.end() == "" || width(line) <= columns {
		return []string{line}
	}
	return []string{who + counts, paint(cut(c.end(), columns), Broken, style.Colour)}
}

// A layout is a way to fill the first screen: what stands above the table, the rows of the table,
// and how the other checks are listed.
type layout struct {
	head []string
	rows []row
	how  listing
}

// A listing says how many names of checks are listed.
type listing int

const (
	whole listing = iota
	short         // at most one line of what passes or is skipped
	brief         // one list for each verdict, which is cut
)

// screen returns the lines of the first screen. All causes are told where there is room for them
// and all rows; otherwise those that explain several checks, or keep some from being judged. Then
// what follows from a cause is listed, where there is room below its remedy, then the names of
// what passes are cut, then the last rows are listed, and then all.
func (c Card) screen(style Style) []string {
	several := slices.DeleteFunc(slices.Clone(c.Causes), func(cause Cause) bool {
		return cause.Unjudged == 0 && len(cause.Checks) < 2
	})
	told := map[int]bool{} // those that a row need not explain
	for _, cause := range several[:min(len(several), maxCauses)] {
		told[cause.ID] = true
	}
	columns := style.screen()
	end := c.screenSummary(style)
	c, unserved := c.served(columns)
	rows := wrongRows(c.rows(), told)
	leading := slices.DeleteFunc(slices.Clone(rows), func(w row) bool { return w.firstCause(told) != noCause })

	head, withRemedies := c.above(unserved, several, false, columns), c.above(unserved, several, true, columns)
	layouts := []layout{
		{c.above(unserved, c.Causes, false, columns), rows, whole},
		{head, rows, whole}, {withRemedies, leading, whole},
		{head, rows, short}, {withRemedies, leading, short},
	}
	for n := min(len(leading), screenLines); n >= 0; n-- {
		layouts = append(layouts, layout{head, leading[:n], short})
	}
	var all []string
	for _, l := range append(layouts, layout{head, nil, brief}) {
		body, fits := c.body(l, told, screenLines-len(l.head)-len(end), style)
		all = slices.Concat(l.head, body, end)
		if fits {
			break
		}
	}
	return all
}

// served returns the card without the families in which the subject was not judged, and lines that
// say why it was not.
func (c Card) served(columns int) (Card, []string) {
	var lines []string
	for _, family := range families(c.Checks) {
		in := inFamily(c.Checks, family)
		reason := in[0].Reason
		if len(in) == len(c.Checks) || !strings.HasPrefix(reason, NotServed) ||
			slices.ContainsFunc(in, func(r Result) bool { return r.Verdict != Skip || r.Reason != reason }) {
			continue
		}
		c.Checks = slices.DeleteFunc(slices.Clone(c.Checks), func(r Result) bool { return r.Family == family })
		text := wrap(oneLine(family+" is not judged: "+reason), columns, causeIndent)
		lines = append(lines, atMost(text, causeLines, columns)...)
	}
	return c, lines
}

// above returns what stands above the table: the head, families that are not judged, and the
// causes, with their remedies where that is asked for.
func (c Card) above(unserved []string, causes []Cause, remedies bool, columns int) []string {
	all := append(c.head(columns), "")
	if len(unserved) > 0 {
		all = append(append(all, unserved...), "")
	}
	if len(causes) == 0 {
		return all
	}
	for _, cause := range causes[:min(len(causes), maxCauses)] {
		all = append(all, cause.lines(columns)...)
		if remedies && cause.Remedy != "" {
			all = append(all, cutWords("  remedy: "+oneLine(cause.Remedy), columns))
		}
	}
	if more := len(causes) - maxCauses; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return append(all, "")
}

// head returns the subject, the origin and the profile.
func (c Card) head(columns int) []string {
	profile := c.Profile.Lines(columns)
	if service := c.Profile.Service; len(c.Profile.Listeners) == 0 && service != (Service{}) {
		profile = []string{cut(service.String(), columns)} // a card of before has no more
	}
	subject := cut(printable(c.Subject), columns)
	c.Profile = Profile{}
	if excess := width(c.Origin()) - columns; excess > 0 { // the seed is worth more
		kernel := oneLine(c.Kernel)
		c.Kernel = cut(kernel, max(width(kernel)-excess, familyColumns))
	}
	return append([]string{subject, cut(c.Origin(), columns)}, profile...)
}

// lines returns the cause in at most two lines. Where it does not fit, first the subject's own
// words are cut, then the text.
func (c Cause) lines(columns int) []string {
	const step, words, text = 4, 24, 40 // the least
	all := wrap(c.String(), columns, causeIndent)
	for n := maxWords; len(all) > causeLines && n > words; n -= step {
		all = wrap(c.sentence(maxText, n, ""), columns, causeIndent)
	}
	for n := 2 * columns; len(all) > causeLines && n > text; n -= step {
		all = wrap(c.sentence(n, words, ""), columns, causeIndent)
	}
	return atMost(all, causeLines, columns)
}

// body returns the table of a layout and the lists of the other checks, and whether they find room.
func (c Card) body(l layout, told map[int]bool, room int, style Style) (all []string, fits bool) {
	table, lists := c.table(l.rows, told, style), c.listed(l.rows, told, l.how == brief)
	shown := len(families(c.Checks))
	for most := room; most > 0; most-- {
		all = slices.Clone(table)
		for _, list := range lists {
			lines := most
			if l.how == short && (list.verdict == Pass || list.verdict == Skip) {
				lines = 1
			}
			all = append(all, list.lines(lines, shown, style)...)
		}
		if l.how != brief || len(all) <= room {
			break
		}
	}
	if len(all) > 0 && len(all) < room {
		all = append(all, "")
	}
	return all, len(all) <= room
}
