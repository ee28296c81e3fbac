// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"forkrig/scorecard"
)

// How much of one card is shown at most.
const (
	maxResults  = 2000
	maxFamilies = 12
	maxCauses   = 100
	maxLine     = 500 // bytes of a line of evidence
	maxShort    = 200 // bytes of what a row of the table says
	profileLine = 110 // columns
)

// gravity has the verdicts from the gravest on.
var gravity = []scorecard.Verdict{scorecard.Fail, scorecard.Broken, scorecard.Warn, scorecard.ByDesign, scorecard.Skip, scorecard.Pass}

// A detail is how much is shown of each result.
type detail struct {
	text     int // bytes of each of its texts
	evidence int // lines, the last ones
}

// details are tried one after another until what is said on the cards has room.
var details = []detail{{maxText, 120}, {1000, 40}, {250, 10}, {60, 2}, {20, 0}}

// A cardView is a card as the template shows it.
type cardView struct {
	Label, Subject, Origin, Summary, End string
	OK                                   bool
	Profile, Causes                      []string
	Families                             []string
	checks                               []*checkView
}

// A checkView is a result with its pictures.
type checkView struct {
	ID, Name, Family, Card string // Card is "" where the page has one card
	Verdict                scorecard.Verdict
	Short                  string
	Items                  []item
	Evidence               string
	Recordings             []int
	Open                   bool // it is shown at once
}

// An item is a text with its label.
type item struct{ Label, Text string }

// A table has the checks as rows, and the families of each card as columns.
type table struct {
	Groups []group
	Rows   []tableRow
	Labels bool // there are several cards
}

// A group is the columns of one card.
type group struct {
	Label    string
	Families []string
}

// A tableRow is a check in all cards and families; a cell without a verdict is one that was not made.
type tableRow struct {
	Name, Remark string
	Cells        []*checkView
}

// newCardView returns the card with that number, from 1.
func newCardView(number int, card Card, d detail) cardView {
	view := cardView{
		Label: clean(cmp.Or(card.Label, card.Kernel, fmt.Sprintf("card %d", number)), maxName), Subject: clean(card.Subject, maxText),
		Origin: card.Origin(), Summary: card.Summary(false), OK: card.OK(), Profile: card.Profile.Lines(profileLine),
	}
	for _, cause := range card.Causes[:min(len(card.Causes), maxCauses)] {
		text := cause.String()
		if cause.Remedy != "" {
			text += ". Remedy: " + clean(cause.Remedy, d.text)
		}
		view.Causes = append(view.Causes, clean(text, maxText))
	}
	left := 0
	for i, r := range card.Checks {
		family := clean(r.Family, maxName)
		known := slices.Contains(view.Families, family)
		if len(view.checks) == maxResults || !known && len(view.Families) == maxFamilies {
			left++
			continue
		}
		view.checks = append(view.checks, newCheckView(fmt.Sprintf("c%dk%d", number, i+1), r, d))
		if !known {
			view.Families = append(view.Families, family)
		}
	}
	if left > 0 {
		view.End = scorecard.Counted(left, "further check is", "further checks are") + " left out"
	}
	return view
}

func newCheckView(id string, r scorecard.Result, d detail) *checkView {
	if !slices.Contains(gravity, r.Verdict) {
		r.Verdict = scorecard.Broken
	}
	check := &checkView{ID: id, Name: clean(r.Name, maxName), Family: clean(r.Family, maxName), Verdict: r.Verdict}
	short := cmp.Or(r.Reason, r.Remedy, r.Observed)
	if r.Verdict == scorecard.Pass {
		short = r.Observed
	}
	check.Short = clean(strings.Join(strings.Fields(short), " "), min(maxShort, d.text))
	add := func(label, text string) {
		if text != "" {
			check.Items = append(check.Items, item{label, clean(text, d.text)})
		}
	}
	add("Expected", r.Expected)
	add("Observed", r.Observed)
	add("Findings", strings.Join(r.Findings, ", "))
	add("Reason", r.Reason)
	add("Remedy", r.Remedy)
	if r.CauseID != 0 {
		add("Cause", fmt.Sprintf("see cause %d", r.CauseID))
	}
	if r.Runs != (scorecard.Counts{}) {
		add("Runs", r.Runs.String())
	}
	add("Reproduce", r.Reproduce)
	check.Evidence = strings.Join(cleanAll(r.Evidence, min(maxLine, d.text), d.evidence), "\n")
	return check
}

// attach gives a picture to the result that it belongs to, and says whether there is one.
func (v cardView) attach(picture Picture, number int) bool {
	for _, check := range v.checks {
		if check.Name == clean(picture.Check, maxName) && check.Family == clean(picture.Family, maxName) {
			check.Recordings = append(check.Recordings, number)
			return true
		}
	}
	return false
}

// arrange returns the table of all cards, and all results, both with the gravest checks first.
func arrange(cards []cardView) (table, []checkView) {
	t := table{Labels: len(cards) > 1}
	var names []string
	worst := map[string]int{}
	for _, card := range cards {
		t.Groups = append(t.Groups, group{card.Label, card.Families})
		for _, check := range card.checks {
			if t.Labels {
				check.Card = card.Label
			}
			rank := slices.Index(gravity, check.Verdict)
			if before, known := worst[check.Name]; !known {
				names, worst[check.Name] = append(names, check.Name), rank
			} else {
				worst[check.Name] = min(before, rank)
			}
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return worst[a] - worst[b] })
	var all []checkView
	for _, name := range names {
		row := tableRow{Name: name}
		for _, card := range cards {
			for _, family := range card.Families {
				i := slices.IndexFunc(card.checks, func(c *checkView) bool { return c.Name == name && c.Family == family })
				if i < 0 {
					row.Cells = append(row.Cells, nil)
					continue
				}
				check := card.checks[i]
				row.Cells = append(row.Cells, check)
				all = append(all, *check)
				if slices.Index(gravity, check.Verdict) == worst[name] {
					row.Remark = cmp.Or(row.Remark, check.Short)
				}
			}
		}
		t.Rows = append(t.Rows, row)
	}
	// What is wrong is to be seen at once.
	if i := slices.IndexFunc(all, func(c checkView) bool { return c.Verdict != scorecard.Pass && len(c.Recordings) > 0 }); i >= 0 {
		all[i].Open = true
	}
	return t, all
}
