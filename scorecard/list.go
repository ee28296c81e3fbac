// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

const listIndent = 2

// A list has the names of checks with the same verdict.
type list struct {
	title
	checks []row // with the results that have the title
}

// A title is what is said of all checks in a list.
type title struct {
	verdict Verdict
	label   string // what is said in brackets
	unnamed bool   // the cause says how many they are
}

func titleOf(r Result, told map[int]bool) title {
	switch {
	case r.Unjudged:
		return title{r.Verdict, "not judged", false}
	case told[r.CauseID] && r.Verdict == Skip:
		return title{r.Verdict, fmt.Sprintf("not judged, cause %d", r.CauseID), true}
	case told[r.CauseID]:
		return title{r.Verdict, fmt.Sprintf("cause %d", r.CauseID), false}
	}
	return title{verdict: r.Verdict}
}

// listed returns the lists of the checks that are not in the rows, what is wrong first. Where
// brief is set, there is one list for each verdict.
func (c Card) listed(rows []row, told map[int]bool, brief bool) []list {
	var others []Result
	for _, w := range c.rows() {
		if !slices.ContainsFunc(rows, func(shown row) bool { return shown[0].Name == w[0].Name }) {
			others = append(others, w...)
		}
	}
	of := func(r Result) title {
		if brief {
			return title{verdict: r.Verdict}
		}
		return titleOf(r, told)
	}
	var all []list
	for _, results := range grouped(others, of) {
		all = append(all, list{of(results[0]), Card{Checks: results}.rows()})
	}
	order := []Verdict{Fail, Broken, Warn, ByDesign, Pass, Skip}
	slices.SortStableFunc(all, func(a, b list) int {
		rank := slices.Index(order, a.verdict) - slices.Index(order, b.verdict)
		return cmp.Or(rank, cmp.Compare(a.label, b.label))
	})
	return all
}

// lines returns the list in at most so many lines. Families are named where they are less than
// the given number: once where those of all checks are the same, else for each check.
func (l list) lines(most, families int, style Style) []string {
	who := l.checks[0].who(families)
	alike := !slices.ContainsFunc(l.checks, func(w row) bool { return w.who(families) != who })
	notes := []string{l.label}
	if alike {
		notes = append(notes, who)
	}
	label := fmt.Sprintf("%s %d", l.verdict, len(l.checks)) + inBrackets(notes...)
	names := make([]string, len(l.checks))
	for i, w := range l.checks {
		if names[i] = cut(oneLine(w[0].Name), nameColumns/2); !alike {
			names[i] += inBrackets(w.who(families))
		}
	}
	columns := style.screen()
	first := func(n int) []string {
		text := label + ": " + strings.Join(names[:n], ", ")
		if n < len(names) {
			text += fmt.Sprintf(" and %d more", len(names)-n)
		}
		return wrap(text, columns, listIndent)
	}
	all := first(len(names))
	if l.unnamed {
		all = []string{label}
	} else if len(all) > most {
		n := sort.Search(len(names), func(n int) bool { return len(first(n)) > most })
		all = first(max(n-1, 0))
	}
	all = atMost(all, most, columns)
	all[0] = paint(string(l.verdict), l.verdict, style.Colour) + strings.TrimPrefix(all[0], string(l.verdict))
	return all
}

// who names the families of the row, "" where they are as many as the given number.
func (w row) who(all int) string {
	in := families(w)
	if len(in) == all {
		return ""
	}
	return cut(oneLine(enumerate(in)), 2*familyColumns)
}

// inBrackets returns what there is of the notes, to be appended to a text.
func inBrackets(notes ...string) string {
	notes = slices.DeleteFunc(notes, func(note string) bool { return note == "" })
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}
