// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A row is one check with its results, in every family.
type row struct {
	name    string
	results []Result
}

// rows returns the checks in order of appearance. An invalid verdict is broken.
func (c Card) rows() []row {
	var rows []row
	place := map[string]int{}
	for _, r := range c.Checks {
		r.Verdict = r.Verdict.kind().Verdict
		i, ok := place[r.Name]
		if !ok {
			i = len(rows)
			place[r.Name] = i
			rows = append(rows, row{name: r.Name})
		}
		rows[i].results = append(rows[i].results, r)
	}
	return rows
}

// families returns the families of all results in order of appearance.
func families(results []Result) []string {
	var all []string
	for _, r := range results {
		all = addNew(all, r.Family)
	}
	return all
}

// worst returns the gravest verdict of the results, "" without any.
func worst(results []Result) Verdict { return Card{Checks: results}.Counts().worst() }

// inFamily returns the results in one family.
func inFamily(results []Result, family string) []Result {
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Family != family })
}

// in returns the gravest verdict in one family, "" if the check was not made there.
func (w row) in(family string) Verdict { return worst(inFamily(w.results, family)) }

// remark returns in one line what the results with the gravest verdict say, in short, each
// after its families unless all results say the same.
func (w row) remark(short func(Result) string) string {
	gravest := worst(w.results)
	var texts []string
	by := map[string][]Result{}
	for _, r := range w.results {
		if r.Verdict == gravest {
			t := short(r)
			texts, by[t] = addNew(texts, t), append(by[t], r)
		}
	}
	if len(texts) == 1 && len(by[texts[0]]) == len(w.results) {
		return texts[0]
	}
	for i, t := range texts {
		if who := enumerate(families(by[t])); t != "" && who != "" {
			texts[i] = oneLine(who) + ": " + t
		}
	}
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), "; ")
}

// short says why the verdict is not a pass: the findings, and the remedy or the reason.
func (r Result) short() string {
	return labelled(strings.Join(r.Findings, ", "), cmp.Or(r.Reason, r.Remedy, r.Observed))
}

// remark says in one line what was observed where it is a pass, else why it is not, after how
// many runs of a merged card have the verdict.
func (r Result) remark() string {
	if r.Verdict == Pass {
		return oneLine(r.Observed)
	}
	return labelled(r.often(), oneLine(r.short()))
}

// explanation is the cause that explains the result, or else remark.
func (r Result) explanation() string {
	if r.CauseID != 0 {
		return fmt.Sprintf("cause %d", r.CauseID)
	}
	return r.remark()
}
