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
	tableColumns  = 100 // of a line of the table
	nameColumns   = 40
	familyColumns = 12
	remarkColumns = 20 // at least, however many families there are
	labelColumns  = len("  reproduce  ")

	lineNameColumns = len("reuse-live-worker") // of a line without a table
)

// WriteTable writes the card for a terminal: a line for each check with its
// verdicts in all families and a short remark, the findings, see
// [Card.WriteFindings], and the summary, see [Card.Summary]. It does not write the
// subject, the kernel and the seed, see [Card.Origin]. Colours are ANSI escape
// sequences, and only there if colour is true, see [Colour]; what is not printable in
// the texts of the card is escaped in any case. A line of the table has at most about
// 100 columns.
func (c Card) WriteTable(w io.Writer, colour bool) error {
	var b bytes.Buffer
	columns := families(c.Checks)
	rows := c.rows()

	nameWidth := width("check")
	for _, row := range rows {
		nameWidth = min(max(nameWidth, width(oneLine(row.name))), nameColumns)
	}
	headings := make([]string, len(columns))
	remarkWidth := tableColumns - nameWidth
	for i, family := range columns {
		headings[i] = pad(cut(oneLine(family), familyColumns), verdictColumns)
		remarkWidth -= 2 + width(headings[i])
	}
	remarkWidth = max(remarkWidth-2, remarkColumns)

	if len(rows) > 0 {
		line := pad("check", nameWidth) + "  " + strings.Join(headings, "  ")
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	for _, row := range rows {
		line := pad(cut(oneLine(row.name), nameWidth), nameWidth)
		for i, family := range columns {
			v := row.in(family)
			cell := cmp.Or(string(v), "-")
			line += "  " + paint(cell, v, colour) + pad("", width(headings[i])-len(cell))
		}
		remark := cut(row.remark(Result.short), remarkWidth)
		fmt.Fprintln(&b, strings.TrimRight(line+"  "+remark, " "))
	}

	c.writeFindings(&b, colour)
	if len(rows) > 0 {
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, c.Summary(colour))
	_, err := w.Write(b.Bytes())
	return err
}

// WriteFindings writes a paragraph for each check that failed or is broken, after an
// empty line: what was expected and observed, the cause, the evidence, and the command
// that repeats the check. A check that was not judged has one only if there is
// evidence. Paragraphs are neither cut nor wrapped.
func (c Card) WriteFindings(w io.Writer, colour bool) error {
	var b bytes.Buffer
	c.writeFindings(&b, colour)
	_, err := w.Write(b.Bytes())
	return err
}

func (c Card) writeFindings(b *bytes.Buffer, colour bool) {
	for _, row := range c.rows() {
		for _, f := range row.findings() {
			f.writeParagraph(b, colour)
		}
	}
}

// Line returns the result in one line, for a list that grows as checks end:
// "pass   reap               IPv4  41 workers ended, all are reaped". Lines have their
// columns in common, and at most about 100 columns.
func (r Result) Line(colour bool) string {
	verdict := string(cmp.Or(r.Verdict, "-"))
	if _, valid := r.Verdict.kind(); !valid {
		verdict = cut(oneLine(verdict), verdictColumns)
	}
	start := pad("", verdictColumns-width(verdict)) + " " + pad(cut(oneLine(r.Name), nameColumns), lineNameColumns) + "  " +
		pad(cut(oneLine(r.Family), familyColumns), len("IPv4")) + "  "
	room := max(tableColumns-width(verdict)-width(start), remarkColumns)
	return strings.TrimRight(paint(verdict, r.Verdict, colour)+start+cut(r.remark(), room), " ")
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

// writeParagraph writes all of the finding.
func (f finding) writeParagraph(w io.Writer, colour bool) {
	fmt.Fprintf(w, "\n%s\n", paint(f.title(), f.Verdict, colour))
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
		{"cause", lines(f.Cause), labelColumns},
		{"evidence", evidence, 4},
		{"reproduce", f.commands(), labelColumns},
	} {
		for i, line := range item.lines {
			start := strings.Repeat(" ", item.indent)
			if i == 0 {
				start = pad("  "+item.label, labelColumns)
			}
			fmt.Fprintln(w, strings.TrimRight(start+line, " "))
		}
	}
}
