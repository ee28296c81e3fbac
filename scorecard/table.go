// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"math"
	"slices"
)

// wrongRows returns the rows of what fails, is broken or warns, the gravest first, and those
// that follow from a cause that is told before others. What the run did not judge is no row.
func wrongRows(all []row, told map[int]bool) []row {
	all = slices.DeleteFunc(all, func(w row) bool { return !slices.ContainsFunc(w, Result.wrong) })
	slices.SortStableFunc(all, func(a, b row) int {
		graver := worst(b).kind().gravity - worst(a).kind().gravity
		return cmp.Or(graver, cmp.Compare(a.firstCause(told), b.firstCause(told)))
	})
	return all
}

// wrong says whether there is more to say than that the run did not judge it.
func (r Result) wrong() bool { return r.Verdict.kind().told && !r.Unjudged }

// noCause is above the number of each cause.
const noCause = math.MaxInt

// firstCause returns the least number of the causes from which all that is wrong in the row
// follows, noCause where something does not follow from one that is told.
func (w row) firstCause(told map[int]bool) int {
	first := noCause
	for _, r := range w {
		if !r.wrong() {
			continue
		}
		if !told[r.CauseID] {
			return noCause
		}
		first = min(first, r.CauseID)
	}
	return first
}

// maxFamilies is how many families have a column of their own.
const maxFamilies = 2

// table returns a line for each of the rows, below a heading.
func (c Card) table(rows []row, told map[int]bool, style Style) []string {
	if len(rows) == 0 {
		return nil
	}
	columns := families(c.Checks)
	columns = columns[:min(len(columns), maxFamilies)]
	heading := []string{"check"}
	for _, family := range columns {
		heading = append(heading, cut(oneLine(family), familyColumns))
	}
	cells := [][]string{append(heading, "")}
	var remarks []string // of the rows above
	remark := func(r Result) string {
		if !told[r.CauseID] {
			return r.remark()
		}
		text := labelled(r.explanation(), oneLine(r.Remedy))
		if slices.Contains(remarks, text) {
			return r.explanation()
		}
		return text
	}
	for _, row := range rows {
		name := oneLine(row[0].Name)
		line := []string{pad(cut(name, nameColumns/2), min(width(name), nameColumns/2))}
		for _, family := range columns {
			v := row.in(family)
			line = append(line, paint(string(cmp.Or(v, "-")), v, style.Colour))
		}
		remarks = append(remarks, row.remark(remark))
		cells = append(cells, append(line, remarks[len(remarks)-1]))
	}
	return grid(cells, func(text string, after int) string { return cutWords(text, style.screen()-after) })
}
