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

// Change is what became of one check in one family between two cards.
type Change struct {
	Name   string
	Family string
	Old    Verdict // "" where the old card does not have the check
	New    Verdict // "" where the new card does not have the check
	Cause  string  // why the new verdict is not a pass; may hold any bytes
}

// Difference is what two cards say differently, see [Diff]. The changes are in the
// order of the new card, those that are gone in the order of the old card.
type Difference struct {
	Old, New Card
	Worsened []Change
	Improved []Change
	Added    []Change // only the new card has the check
	Removed  []Change // only the old card has the check
	Same     []Change
}

// Diff compares two cards, check by check and family by family. Texts and times may
// differ; what counts is the verdict:
//
//   - A check that judged the subject (pass or fail) and no longer does (skip or
//     broken) is worse. From fail to skip, too: the defect may still be there.
//   - Otherwise the order is pass, skip, broken, fail, and what comes later is worse.
//     From broken to fail, too: nothing was known, and now a defect is.
//
// A card has each check once in a family; an invalid verdict counts as broken. The cards
// may be of different subjects, kernels and versions.
func Diff(old, new Card) Difference {
	d := Difference{Old: old, New: new}
	for _, r := range new.Checks {
		to, _ := r.Verdict.kind()
		change := Change{Name: r.Name, Family: r.Family, New: to.Verdict}
		if to.Verdict != Pass {
			change.Cause = r.remark()
		}
		i := slices.IndexFunc(old.Checks, r.sameCheck)
		if i < 0 {
			d.Added = append(d.Added, change)
			continue
		}
		from, _ := old.Checks[i].Verdict.kind()
		change.Old = from.Verdict
		switch {
		case from.Verdict == to.Verdict:
			d.Same = append(d.Same, change)
		case from.judged && !to.judged, from.gravity < to.gravity:
			d.Worsened = append(d.Worsened, change)
		default:
			d.Improved = append(d.Improved, change)
		}
	}
	for _, r := range old.Checks {
		if !slices.ContainsFunc(new.Checks, r.sameCheck) {
			from, _ := r.Verdict.kind()
			d.Removed = append(d.Removed, Change{Name: r.Name, Family: r.Family, Old: from.Verdict})
		}
	}
	return d
}

func (r Result) sameCheck(other Result) bool { return r.Name == other.Name && r.Family == other.Family }

// Worse tells whether a check became worse, or a new one fails or is broken. A check
// that is gone is left out on purpose, and not worse, unless the new card is
// incomplete.
func (d Difference) Worse() bool {
	return len(d.Worsened) > 0 || !d.New.Complete && len(d.Removed) > 0 ||
		slices.ContainsFunc(d.Added, func(c Change) bool {
			k, _ := c.New.kind()
			return k.wrong
		})
}

// A section is one kind of change under its heading.
type section struct {
	heading string
	changes []Change
}

// sections are those that are listed.
func (d Difference) sections() []section {
	return []section{{"worse", d.Worsened}, {"better", d.Improved}, {"new", d.Added}, {"gone", d.Removed}}
}

// summary returns the counts, such as "1 worse, 2 better, 0 new, 0 gone, 40 the same".
func (d Difference) summary() string {
	text := ""
	for _, s := range d.sections() {
		text += fmt.Sprintf("%d %s, ", len(s.changes), s.heading)
	}
	return fmt.Sprintf("%s%d the same", text, len(d.Same))
}

// origin says in one line from what a card is, and how its run ended if it is incomplete.
func (c Card) origin() string {
	text := c.Origin()
	if end := c.end(); end != "" {
		text += "; " + end
	}
	return text
}

// WriteText writes the changes for a terminal or a log: where the cards are from, a line
// for each check that became worse or better, is new or gone, with its families, the old
// and the new verdict and the new cause, and a line of counts.
func (d Difference) WriteText(w io.Writer, style Style) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old  %s\n     %s\n", style.rest(oneLine(d.Old.Subject), 5), d.Old.origin())
	fmt.Fprintf(&b, "new  %s\n     %s\n", style.rest(oneLine(d.New.Subject), 5), d.New.origin())
	for _, s := range d.sections() {
		if len(s.changes) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", s.heading)
		lines := join(s.changes)
		var names, who, steps int
		for _, l := range lines {
			names, who, steps = max(names, width(l.name())), max(who, width(l.who())), max(steps, width(l.step(false)))
		}
		for _, l := range lines {
			start := "  " + pad(l.name(), names) + "  " + pad(l.who(), who) + "  "
			step := l.step(style.Colour) + pad("", steps-width(l.step(false)))
			fmt.Fprintln(&b, strings.TrimRight(start+step+"  "+style.rest(oneLine(l.Cause), width(start)+steps+2), " "))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", d.summary())
	_, err := w.Write(b.Bytes())
	return err
}

// A line is one change, and all families in which it is the same.
type line struct {
	Change
	families []string
}

// join puts the changes of one check that differ in the family alone into one line.
func join(changes []Change) []line {
	var all []line
	for _, c := range changes {
		alone := c
		alone.Family = ""
		i := slices.IndexFunc(all, func(l line) bool { return l.Change == alone })
		if i < 0 {
			i = len(all)
			all = append(all, line{Change: alone})
		}
		all[i].families = append(all[i].families, c.Family)
	}
	return all
}

func (l line) name() string { return cut(oneLine(l.Name), nameColumns) }

func (l line) who() string { return cut(oneLine(enumerate(l.families)), nameColumns) }

// step returns the old and the new verdict, "-" for none.
func (l line) step(colour bool) string {
	return fmt.Sprintf("%s → %s", cmp.Or(l.Old, "-"), paint(string(cmp.Or(l.New, "-")), l.New, colour))
}
