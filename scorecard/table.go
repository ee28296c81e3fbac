// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	nameColumns   = 40
	familyColumns = 12
	remarkColumns = 20 // at least, however many families there are
	labelColumns  = len("  reproduce  ")

	lineNameColumns = len("reuse-live-worker") // of a line without a table
)

// Heading returns the subject and the origin of the card in two printable lines.
func (c Card) Heading() string { return printable(c.Subject) + "\n" + c.Origin() }

// WriteTable writes the card for a terminal or a log: a line for each check with its
// verdicts in all families and a short remark; a paragraph for each check that failed or
// is broken, with what was expected and observed, the cause, the evidence and the command
// that repeats it; and the summary, see [Card.Summary]. It does not write what
// [Card.Heading] returns. What is not printable in the texts of the card is escaped. A
// check that was not judged has a paragraph only if there is evidence. Paragraphs are
// neither cut nor wrapped.
func (c Card) WriteTable(w io.Writer, style Style) error {
	var b bytes.Buffer
	columns := families(c.Checks)
	rows := c.rows()

	nameWidth := width("check")
	for _, row := range rows {
		nameWidth = min(max(nameWidth, width(oneLine(row.name))), nameColumns)
	}
	heading := pad("check", nameWidth)
	headings := make([]string, len(columns))
	for i, family := range columns {
		headings[i] = pad(cut(oneLine(family), familyColumns), verdictColumns)
		for _, row := range rows {
			headings[i] = pad(headings[i], len(row.in(family)))
		}
		heading += "  " + headings[i]
	}
	if len(rows) > 0 {
		fmt.Fprintln(&b, strings.TrimRight(heading, " "))
	}
	for _, row := range rows {
		line := pad(cut(oneLine(row.name), nameWidth), nameWidth)
		for i, family := range columns {
			v := row.in(family)
			cell := cmp.Or(string(v), "-")
			line += "  " + paint(cell, v, style.Colour) + pad("", width(headings[i])-len(cell))
		}
		fmt.Fprintln(&b, strings.TrimRight(line+"  "+style.rest(row.remark(), width(heading)+2), " "))
	}

	for _, row := range rows {
		for _, f := range row.findings() {
			fmt.Fprintf(&b, "\n%s\n", paint(f.title(), f.Verdict, style.Colour))
			for _, line := range f.paragraph() {
				fmt.Fprintln(&b, line)
			}
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, c.Summary(style.Colour))
	_, err := w.Write(b.Bytes())
	return err
}

// Line returns the result in one line, for a list that grows as checks end:
// "pass   reap               IPv4  41 workers ended, all are reaped". Lines have their
// columns in common. It says what was observed, and the cause where nothing was: the table
// has the causes.
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

// paragraph returns all that is said of the finding, as lines.
func (f finding) paragraph() (all []string) {
	evidence, whose := f.evidence()
	if len(evidence) > 0 {
		evidence = slices.Insert(evidence, 0, whose)
	}
	for _, item := range []struct {
		label  string
		lines  []string
		indent int
	}{
		{"expected", lines(f.Expected), labelColumns},
		{"observed", lines(f.Observed), labelColumns},
		{"reason", lines(f.Reason), labelColumns},
		{"remedy", lines(f.Remedy), labelColumns},
		{"evidence", evidence, 4},
		{"reproduce", lines(f.Reproduce), labelColumns},
	} {
		for i, line := range item.lines {
			start := strings.Repeat(" ", item.indent)
			if i == 0 {
				start = pad("  "+item.label, labelColumns)
			}
			all = append(all, strings.TrimRight(start+line, " "))
		}
	}
	return all
}
