// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A row is the results of one check, in every family.
type row []Result

// rows returns the checks in order of appearance. An invalid verdict is broken.
func (c Card) rows() []row {
	var rows []row
	for _, results := range grouped(c.Checks, func(r Result) string { return r.Name }) {
		for i, r := range results {
			results[i].Verdict = r.Verdict.kind().Verdict
		}
		rows = append(rows, results)
	}
	return rows
}

// grouped returns items with the same key together, in order of appearance.
func grouped[T any, K comparable](items []T, key func(T) K) [][]T {
	var groups [][]T
	place := map[K]int{}
	for _, item := range items {
		k := key(item)
		i, known := place[k]
		if !known {
			i, place[k] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

func families(results []Result) []string {
	var all []string
	for _, r := range results {
		all = addNew(all, r.Family)
	}
	return all
}

// worst returns the gravest verdict of the results, "" without any.
func worst(results []Result) Verdict { return Card{Checks: results}.Counts().worst() }

func inFamily(results []Result, family string) []Result {
	return slices.DeleteFunc(slices.Clone(results), func(r Result) bool { return r.Family != family })
}

// in returns the gravest verdict in one family, "" if the check was not made there.
func (w row) in(family string) Verdict { return worst(inFamily(w, family)) }

// remark returns in one line what the results with the gravest verdict say, in short, each
// after its families unless all results say the same.
func (w row) remark(short func(Result) string) string {
	gravest := worst(w)
	said := slices.DeleteFunc(slices.Clone(w), func(r Result) bool { return r.Verdict != gravest })
	var texts []string
	for _, results := range grouped(said, short) {
		text := short(results[0])
		if len(results) < len(w) && text != "" {
			text = labelled(oneLine(enumerate(families(results))), text)
		}
		texts = append(texts, text)
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
