// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// The first screen of a card fits a terminal of 80 columns and 24 lines.
const (
	screenColumns = 80
	maxColumns    = 100 // where the terminal is wider
	screenLines   = 23  // the prompt of the shell takes one
	maxCauses     = 4
	causeLines    = 2 // of each
	maxFamilies   = 2 // with a column of their own

	nameColumns   = 40
	familyColumns = 12
	remarkColumns = 20 // at least, of a line without a table
	causeIndent   = 2
	listIndent    = 2

	lineNameColumns = len("reuse-live-worker") // of a line without a table
)

// Heading returns the subject and the origin of the card in two printable lines.
func (c Card) Heading() string { return printable(c.Subject) + "\n" + c.Origin() }

// WriteText writes the card for a terminal or a log. The first screen has at most 24 lines of
// 80 columns: the subject, what it is, the causes, a row for each check that failed, is broken
// or warns, the names of the others, and the counts. Where not all rows find room, the names
// of those that follow from a cause, and then of the last ones, are listed instead. Below it
// stand details of what is wrong, each in at most ten lines, and the counts again. What is not printable in the texts
// of the card is escaped.
func (c Card) WriteText(w io.Writer, style Style) error {
	lines := c.screen(style)
	if details := c.details(style); len(details) > 0 {
		lines = slices.Concat(lines, []string{""}, details, []string{""}, c.screenSummary(style.screen(), style.Colour))
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// Line returns the result in one line, for a list that grows as checks end:
// "pass   reap               IPv4  41 workers ended, all are reaped". Lines have their
// columns in common. It says what was observed, and why where nothing was.
func (r Result) Line(style Style) string {
	verdict := string(cmp.Or(r.Verdict, "-"))
	if _, valid := r.Verdict.kind(); !valid {
		verdict = cut(oneLine(verdict), verdictColumns)
	}
	start := pad("", verdictColumns-width(verdict)) + " " + pad(cut(oneLine(r.Name), nameColumns), lineNameColumns) + "  " +
		pad(cut(oneLine(r.Family), familyColumns), len("IPv4")) + "  "
	text := cmp.Or(r.Observed, r.Reason, r.Remedy)
	if r.Verdict == Skip {
		text = r.short()
	}
	return strings.TrimRight(paint(verdict, r.Verdict, style.Colour)+start+style.rest(oneLine(text), width(verdict)+width(start)), " ")
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

// screen returns the lines of the first screen. All causes are told where there is room for them
// and all rows; otherwise those that explain several checks, or keep some from being judged.
func (c Card) screen(style Style) []string {
	several := slices.DeleteFunc(slices.Clone(c.Causes), func(cause Cause) bool { return cause.Unjudged == 0 && len(cause.Checks) < 2 })
	told := map[int]bool{} // those that a row need not explain
	for _, cause := range several[:min(len(several), maxCauses)] {
		told[cause.ID] = true
	}
	columns := style.screen()
	end := c.screenSummary(columns, style.Colour)
	c, unserved := c.served(columns)
	rows := wrongRows(c.rows(), told)

	head := c.above(unserved, c.Causes, false, columns)
	body, fits := c.body(rows, told, whole, screenLines-len(head)-len(end), style)
	if fits {
		return slices.Concat(head, body, end)
	}
	head = c.above(unserved, several, false, columns)
	room := screenLines - len(head) - len(end)
	leading := slices.DeleteFunc(slices.Clone(rows), func(w row) bool { return w.follows(told) })
	// What follows from a cause is listed, where there is room below its remedy, then the names of
	// what passes are cut, then the last rows are listed, and then all.
	mended := c.above(unserved, several, true, columns)
	for _, how := range []listing{whole, short} {
		if body, fits = c.body(rows, told, how, room, style); fits {
			return slices.Concat(head, body, end)
		}
		if body, fits = c.body(leading, told, how, screenLines-len(mended)-len(end), style); fits {
			return slices.Concat(mended, body, end)
		}
	}
	for n := min(len(leading), room); n >= 0 && !fits; n-- {
		body, fits = c.body(leading[:n], told, short, room, style)
	}
	if !fits {
		body, _ = c.body(nil, told, brief, room, style)
	}
	return slices.Concat(head, body, end)
}

// served returns the card without the families in which the subject was not judged, and lines that
// say why it was not.
func (c Card) served(columns int) (Card, []string) {
	var lines []string
	for _, family := range families(c.Checks) {
		var in []Result
		rest := slices.DeleteFunc(slices.Clone(c.Checks), func(r Result) bool {
			if r.Family == family {
				in = append(in, r)
			}
			return r.Family == family
		})
		reason := in[0].Reason
		if len(rest) == 0 || !strings.HasPrefix(reason, NotServed) || slices.ContainsFunc(in, func(r Result) bool { return r.Verdict != Skip || r.Reason != reason }) {
			continue
		}
		c.Checks = rest
		lines = append(lines, atMost(wrap(oneLine(family+" is not judged: "+reason), columns, causeIndent), causeLines, columns)...)
	}
	return c, lines
}

// NotServed begins the reason for which the checks of a family are skipped in which the subject
// does not serve.
const NotServed = "the subject does not serve "

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

// listing says how many names of checks are listed.
type listing int

const (
	whole listing = iota
	short         // at most one line of what passes or is skipped
	brief         // one list for each verdict, which is cut
)

// body returns the table of these rows and lists of the other checks, and whether they find room.
func (c Card) body(rows []row, told map[int]bool, how listing, room int, style Style) (all []string, fits bool) {
	table := c.table(rows, told, style)
	for most := room; most > 0; most-- {
		all = slices.Clone(table)
		for _, l := range c.listed(rows, told, how == brief) {
			lines := most
			if how == short && (l.verdict == Pass || l.verdict == Skip) {
				lines = 1
			}
			all = append(all, l.lines(style.screen(), lines, style.Colour)...)
		}
		if how != brief || len(all) <= room {
			break
		}
	}
	if len(all) > 0 && len(all) < room {
		all = append(all, "")
	}
	return all, len(all) <= room
}

// head returns the subject, the origin and the profile.
func (c Card) head(columns int) []string {
	origin := c
	origin.Profile = Profile{}
	if excess := width(origin.Origin()) - columns; excess > 0 { // the seed is worth more
		origin.Kernel = cut(oneLine(c.Kernel), max(width(oneLine(c.Kernel))-excess, familyColumns))
	}
	return append([]string{cut(printable(c.Subject), columns), cut(origin.Origin(), columns)}, c.profile(columns)...)
}

// profile says what the subject is.
func (c Card) profile(columns int) []string {
	if service := c.Profile.Service; len(c.Profile.Listeners) == 0 && service != (Service{}) { // a card of before has no more
		return []string{cut(service.String(), columns)}
	}
	return c.Profile.Lines(columns)
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

// wrongRows returns the rows of what fails, is broken or warns, the gravest first, and those
// that follow from a cause that is told before others. What the run did not judge is no row.
func wrongRows(all []row, told map[int]bool) []row {
	all = slices.DeleteFunc(all, func(w row) bool { return !slices.ContainsFunc(w.results, Result.wrong) })
	rank := func(w row) int {
		k, _ := worst(w.results).kind()
		return k.gravity
	}
	slices.SortStableFunc(all, func(a, b row) int {
		return cmp.Or(rank(b)-rank(a), cmp.Compare(b.causeRank(told), a.causeRank(told)))
	})
	return all
}

// wrong says whether there is more to say than that the run did not judge it.
func (r Result) wrong() bool {
	k, _ := r.Verdict.kind()
	return k.told && !r.Unjudged
}

// follows says whether all that is wrong in the row follows from causes that are told.
func (w row) follows(told map[int]bool) bool {
	return !slices.ContainsFunc(w.results, func(r Result) bool { return r.wrong() && !told[r.CauseID] })
}

// causeRank is greater for an earlier cause, and least where the row does not follow from one.
func (w row) causeRank(told map[int]bool) int {
	if !w.follows(told) {
		return -1 << 30
	}
	least := 1 << 30
	for _, r := range w.results {
		if r.wrong() {
			least = min(least, r.CauseID)
		}
	}
	return -least
}

// table returns a line for each of the rows, below a heading.
func (c Card) table(rows []row, told map[int]bool, style Style) []string {
	if len(rows) == 0 {
		return nil
	}
	columns := families(c.Checks)
	columns = columns[:min(len(columns), maxFamilies)]
	var above []string // what the rows above say
	short := func(r Result) string {
		if !told[r.CauseID] {
			return r.remark()
		}
		text := strings.TrimSuffix(r.explanation()+": "+oneLine(r.Remedy), ": ")
		if slices.Contains(above, text) {
			return r.explanation()
		}
		return text
	}
	nameWidth := width("check")
	for _, row := range rows {
		nameWidth = min(max(nameWidth, width(oneLine(row.name))), nameColumns/2)
	}
	heading := pad("check", nameWidth)
	widths := make([]int, len(columns))
	for i, family := range columns {
		name := cut(oneLine(family), familyColumns)
		widths[i] = width(name)
		for _, row := range rows {
			widths[i] = max(widths[i], len(row.in(family)))
		}
		heading += "  " + pad(name, widths[i])
	}
	all := []string{strings.TrimRight(heading, " ")}
	for _, row := range rows {
		line := pad(cut(oneLine(row.name), nameWidth), nameWidth)
		for i, family := range columns {
			v := row.in(family)
			cell := cmp.Or(string(v), "-")
			line += "  " + paint(cell, v, style.Colour) + pad("", widths[i]-len(cell))
		}
		room := style.screen() - width(heading) - 2
		remark := row.remark(short)
		above = append(above, remark)
		all = append(all, strings.TrimRight(line+"  "+cutWords(remark, room), " "))
	}
	return all
}

// A list has the names of checks with the same verdict.
type list struct {
	verdict Verdict
	label   string // what is said in brackets
	names   []string
	unnamed bool                // the cause says how many they are
	in      map[string][]string // families of each name
	all     []string            // families of the card
}

// listed returns the lists of the checks that are not in the rows, what is wrong first. Where
// brief is set, there is one list for each verdict.
func (c Card) listed(rows []row, told map[int]bool, brief bool) []*list {
	var all []*list
	for _, w := range c.rows() {
		if slices.ContainsFunc(rows, func(shown row) bool { return shown.name == w.name }) {
			continue
		}
		for _, r := range w.results {
			label := ""
			switch {
			case brief:
			case r.Unjudged:
				label = "not judged"
			case told[r.CauseID] && r.Verdict == Skip:
				label = fmt.Sprintf("not judged, cause %d", r.CauseID)
			case told[r.CauseID]:
				label = fmt.Sprintf("cause %d", r.CauseID)
			}
			i := slices.IndexFunc(all, func(l *list) bool { return l.verdict == r.Verdict && l.label == label })
			if i < 0 {
				i = len(all)
				all = append(all, &list{verdict: r.Verdict, label: label, unnamed: told[r.CauseID] && r.Verdict == Skip && !brief, in: map[string][]string{}, all: families(c.Checks)})
			}
			if all[i].in[w.name] == nil {
				all[i].names = append(all[i].names, w.name)
			}
			all[i].in[w.name] = append(all[i].in[w.name], r.Family)
		}
	}
	order := []Verdict{Fail, Broken, Warn, ByDesign, Pass, Skip}
	slices.SortStableFunc(all, func(a, b *list) int {
		return cmp.Or(slices.Index(order, a.verdict)-slices.Index(order, b.verdict), cmp.Compare(a.label, b.label))
	})
	return all
}

// lines returns the list in at most so many lines.
func (l *list) lines(columns, most int, colour bool) []string {
	shared := l.in[l.names[0]] // the families, where those of all names are the same
	for _, name := range l.names {
		if !slices.Equal(l.in[name], shared) {
			shared = nil
		}
	}
	var notes, names []string
	if l.label != "" {
		notes = append(notes, l.label)
	}
	if shared != nil && len(shared) < len(l.all) && enumerate(shared) != "" {
		notes = append(notes, cut(oneLine(enumerate(shared)), 2*familyColumns))
	}
	label := fmt.Sprintf("%s %d", l.verdict, len(l.names))
	if notes != nil {
		label += " (" + strings.Join(notes, "; ") + ")"
	}
	for _, name := range l.names {
		text := cut(oneLine(name), nameColumns/2)
		if shared == nil && len(l.in[name]) < len(l.all) {
			text += " (" + cut(oneLine(enumerate(l.in[name])), 2*familyColumns) + ")"
		}
		names = append(names, text)
	}
	first := func(n int) []string {
		text := strings.Join(names[:n], ", ")
		if n < len(names) {
			text += fmt.Sprintf(" and %d more", len(names)-n)
		}
		return wrap(label+": "+text, columns, listIndent)
	}
	all := first(len(names))
	if l.unnamed {
		all = []string{label}
	} else if len(all) > most {
		n := sort.Search(len(names), func(n int) bool { return len(first(n)) > most })
		all = first(max(n-1, 0))
	}
	all = atMost(all, most, columns)
	all[0] = paint(string(l.verdict), l.verdict, colour) + strings.TrimPrefix(all[0], string(l.verdict))
	return all
}

// screenSummary returns the summary with its families in one line, or in two where it is longer.
func (c Card) screenSummary(columns int, colour bool) []string {
	who := ""
	if all := families(c.Checks); len(all) > 1 {
		who = oneLine(enumerate(all)) + ": "
	}
	if width(who)+width(c.Counts().String()) > columns {
		who = ""
	}
	if c.end() == "" || width(who)+width(c.Summary(false)) <= columns {
		return []string{who + c.Summary(colour)}
	}
	return []string{who + c.Counts().text(colour), paint(cut(c.end(), columns), Broken, colour)}
}
