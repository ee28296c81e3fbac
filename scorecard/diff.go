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
	Remark string  // why the new verdict is not a pass; may hold any bytes
}

// Difference is what two cards say differently, see [Diff]. The changes are in the
// order of the new card, those that are gone in the order of the old card.
type Difference struct {
	Old, New Card
	Worsened []Change
	Improved []Change
	Unknown  []Change // it was judged, and is not any more
	Added    []Change // only the new card has the check
	Removed  []Change // only the old card has the check
	Same     []Change
	// Causes are those of the new card that keep checks from being judged, where no cause of the
	// old card does.
	Causes []Cause
}

// Diff compares two cards, check by check and family by family. Texts and times may
// differ; what counts are verdicts, and findings where both are a fail:
//
//   - To fail is worse, and so is pass to warn or broken, and a finding within a fail that the
//     old fail does not have.
//   - Otherwise what becomes broken or skip is not known. From fail, too: the defect may still
//     be there.
//   - Otherwise it is better, also where a fail lacks a finding that the old fail has.
//   - From pass to by-design, or from by-design to warn, is the same: what it does there is meant.
//
// A card has each check once in a family; an invalid verdict counts as broken. A check that
// became several is compared with the worst of these. The cards may be of different
// subjects, kernels and versions.
func Diff(old, new Card) Difference {
	d := Difference{Old: old, New: new}
	if keeps := func(cause Cause) bool { return cause.Unjudged > 0 }; !slices.ContainsFunc(old.Causes, keeps) {
		d.Causes = slices.DeleteFunc(slices.Clone(new.Causes), func(cause Cause) bool { return !keeps(cause) })
	}
	checks := rejoined(old.Checks, new.Checks)
	for _, r := range checks {
		to := r.Verdict.kind().Verdict
		change := Change{Name: r.Name, Family: r.Family, New: to}
		if to != Pass {
			change.Remark = r.remark()
		}
		i := slices.IndexFunc(old.Checks, r.sameCheck)
		if i < 0 {
			d.Added = append(d.Added, change)
			continue
		}
		was := old.Checks[i]
		from := was.Verdict.kind().Verdict
		change.Old = from
		appeared, gone := missing(was.Findings, r.Findings), missing(r.Findings, was.Findings)
		if from != Fail || to != Fail || len(was.Findings) == 0 || len(r.Findings) == 0 {
			appeared, gone = nil, nil // an old card does not have them
		}
		list := &d.Improved
		switch {
		case len(appeared) > 0:
			list, change.Remark = &d.Worsened, enumerate(appeared)+" is new; now "+change.Remark
		case len(gone) > 0:
			change.Remark = enumerate(gone) + " is gone; now " + change.Remark
		case from == to, from == Pass && to == ByDesign, from == ByDesign && to == Warn:
			list = &d.Same
		case to == Fail, from == Pass && (to == Warn || to == Broken):
			list = &d.Worsened
		case to == Broken && from != Skip, to == Skip && from != Broken:
			list = &d.Unknown
		case to == Broken, to == Skip:
			list = &d.Same // nothing was known, and nothing is
		}
		*list = append(*list, change)
	}
	for _, r := range old.Checks {
		if !slices.ContainsFunc(checks, r.sameCheck) {
			d.Removed = append(d.Removed, Change{Name: r.Name, Family: r.Family, Old: r.Verdict.kind().Verdict})
		}
	}
	return d
}

// missing returns what is in the second list only.
func missing(list, further []string) []string {
	return slices.DeleteFunc(slices.Clone(further), func(s string) bool { return slices.Contains(list, s) })
}

// Successors returns the names of the checks that have taken the place of a check that was
// divided, nil where the name is not that of one.
func Successors(name string) []string {
	if name == "accept-errors" {
		return []string{"accept-aborted", "accept-emfile", "accept-short"}
	}
	return nil
}

// rejoined returns the checks of the new card with those put together again that are one
// check in the old card: see [Successors].
func rejoined(old, new []Result) []Result {
	joined := slices.Clone(new)
	for _, r := range old {
		var parts []Result
		for _, name := range Successors(r.Name) {
			part := Result{Name: name, Family: r.Family}
			if i := slices.IndexFunc(joined, part.sameCheck); i >= 0 && !slices.ContainsFunc(old, part.sameCheck) {
				parts = append(parts, joined[i])
			}
		}
		if len(parts) == 0 || len(parts) < len(Successors(r.Name)) || slices.ContainsFunc(joined, r.sameCheck) {
			continue
		}
		whole := Result{Name: r.Name, Family: r.Family, Verdict: worst(parts)}
		var remarks []string
		for _, part := range parts {
			if part.Verdict == whole.Verdict {
				remarks = append(remarks, part.Name+": "+part.remark())
				whole.Findings = append(whole.Findings, part.Findings...)
			}
		}
		whole.Remedy = strings.Join(remarks, "; ")
		isPart := func(r Result) bool { return slices.ContainsFunc(parts, r.sameCheck) }
		joined[slices.IndexFunc(joined, isPart)] = whole
		joined = slices.DeleteFunc(joined, isPart)
	}
	return joined
}

func (r Result) sameCheck(other Result) bool { return r.Name == other.Name && r.Family == other.Family }

// Worse tells whether a check became worse, a new one fails or is broken, or a cause keeps
// checks from being judged where none did before. A check that is gone is left out on purpose,
// and not worse, unless the new card is incomplete.
func (d Difference) Worse() bool {
	return len(d.Worsened) > 0 || len(d.Causes) > 0 || !d.New.Complete && len(d.Removed) > 0 ||
		slices.ContainsFunc(d.Added, func(c Change) bool { return c.New.wrong() })
}

// Worsening returns the new card with only what makes it worse than the old one.
func (d Difference) Worsening() Card {
	worse := slices.DeleteFunc(append(slices.Clone(d.Added), d.Worsened...), func(c Change) bool {
		return c.Old == "" && !c.New.wrong()
	})
	card := d.New
	card.Checks = slices.DeleteFunc(slices.Clone(card.Checks), func(r Result) bool {
		return !slices.ContainsFunc(worse, func(c Change) bool {
			return c.Family == r.Family && (c.Name == r.Name || slices.Contains(Successors(c.Name), r.Name))
		})
	})
	card.Causes = slices.DeleteFunc(slices.Clone(card.Causes), func(cause Cause) bool {
		return !slices.ContainsFunc(card.Checks, cause.explains) &&
			!slices.ContainsFunc(d.Causes, func(c Cause) bool { return c.ID == cause.ID })
	})
	return card
}

// A section is one kind of change under its heading.
type section struct {
	heading string
	changes []Change
}

// sections are those that are listed.
func (d Difference) sections() []section {
	return []section{{"worse", d.Worsened}, {"better", d.Improved}, {"not known", d.Unknown},
		{"new", d.Added}, {"gone", d.Removed}}
}

// summary returns the counts, such as "1 worse, 2 better, 0 not known, 0 new, 0 gone, 40 the same".
func (d Difference) summary() string {
	text := ""
	for _, s := range d.sections() {
		text += fmt.Sprintf("%d %s, ", len(s.changes), s.heading)
	}
	text += fmt.Sprintf("%d the same", len(d.Same))
	if len(d.Causes) > 0 {
		text += "; worse: " + Counted(len(d.Causes), "cause keeps", "causes keep") + " checks from being judged"
	}
	return text
}

// WriteText writes the changes for a terminal or a log: where the cards are from, a line
// for each check that became worse, better or unknown, is new or gone, with its families, the old
// and the new verdict and why it is not a pass, and a line of counts. New causes that keep
// checks from being judged come first.
func (d Difference) WriteText(w io.Writer, style Style) error {
	var b bytes.Buffer
	origin := func(label string, c Card) {
		text := strings.TrimSuffix(c.Origin()+"; "+c.end(), "; ")
		fmt.Fprintf(&b, "%s  %s\n     %s\n", label, style.rest(oneLine(c.Subject), 5), text)
	}
	origin("old", d.Old)
	origin("new", d.New)
	withoutFamily := func(c Change) Change { return Change{c.Name, "", c.Old, c.New, c.Remark} }
	if len(d.Causes) > 0 {
		fmt.Fprint(&b, "\nworse: these checks are not judged any more\n")
	}
	for _, cause := range d.Causes {
		fmt.Fprintf(&b, "  %s\n", style.rest(cause.String(), 2))
	}
	for _, s := range d.sections() {
		if len(s.changes) == 0 {
			continue
		}
		var rows [][]string
		for _, alike := range grouped(s.changes, withoutFamily) {
			var families []string
			for _, change := range alike {
				families = append(families, change.Family)
			}
			change := alike[0]
			to := paint(string(cmp.Or(change.New, "-")), change.New, style.Colour)
			rows = append(rows, []string{"  " + cut(oneLine(change.Name), nameColumns),
				cut(oneLine(enumerate(families)), nameColumns),
				fmt.Sprintf("%s → %s", cmp.Or(change.Old, "-"), to), oneLine(change.Remark)})
		}
		fmt.Fprintf(&b, "\n%s\n%s\n", s.heading, strings.Join(grid(rows, style.rest), "\n"))
	}
	fmt.Fprintf(&b, "\n%s\n", d.summary())
	_, err := w.Write(b.Bytes())
	return err
}
