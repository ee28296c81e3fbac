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
)

// WriteTable writes the card for a terminal: a line for each check with its
// verdicts in all families and a short remark, a paragraph for what failed or is
// broken, and a line of counts. It does not write the subject, the kernel and the
// seed. Colours are ANSI escape sequences, and only there if colour is true, see
// [Colour]; those in the card's texts are made harmless in any case. A line of the
// table has at most about 100 columns; paragraphs are not cut and not wrapped.
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
		headings[i] = pad(cut(oneLine(family), familyColumns), len(Broken))
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
		remark := cut(row.remark(func(r Result) string {
			if r.Verdict == Pass {
				return r.Observed
			}
			return cmp.Or(r.Cause, r.Observed)
		}), remarkWidth)
		fmt.Fprintln(&b, strings.TrimRight(line+"  "+remark, " "))
	}

	for _, row := range rows {
		for _, f := range row.findings() {
			f.writeParagraph(&b, colour)
		}
	}

	if len(rows) > 0 {
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, c.Summary(colour))
	_, err := w.Write(b.Bytes())
	return err
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
