// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// How many lines the details of one check have, and the texts in them.
const (
	maxDetail   = 10
	maxObserved = 3
	maxMended   = 3
	maxShown    = 5 // lines of evidence

	labelColumns = len("  reproduce  ")
)

// A finding is what one or several families say alike about a check that failed, is broken
// or warns. Their evidence and commands may differ; those of the first are shown.
type finding struct {
	Result
	results []Result
}

// findings returns what fails, is broken or a warning, the gravest first. Where alike is set,
// families may differ in what was observed.
func (c Card) findings(alike bool) []finding {
	var all []finding
	for _, w := range c.rows() {
		first := len(all)
		for _, r := range w.results {
			if k, _ := r.Verdict.kind(); !k.told || r.Unjudged && r.Observed == "" && len(r.Evidence) == 0 {
				continue // the first screen says it all
			}
			i := slices.IndexFunc(all[first:], func(f finding) bool {
				return f.Verdict == r.Verdict && f.Remedy == r.Remedy && f.Reason == r.Reason && f.CauseID == r.CauseID && f.Runs == r.Runs &&
					(alike || f.Expected == r.Expected && f.Observed == r.Observed)
			})
			if i < 0 {
				i = len(all) - first
				all = append(all, finding{Result: r})
			}
			all[first+i].results = append(all[first+i].results, r)
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int {
		this, _ := a.Verdict.kind()
		that, _ := b.Verdict.kind()
		return that.gravity - this.gravity
	})
	return all
}

// A consequence is a cause with what follows from it: the first finding is the one that shows
// it best. The zero cause is that of a finding that has none.
type consequence struct {
	Cause
	findings []finding
}

// consequences returns all findings below their causes, and then those that have none.
func (c Card) consequences(alike bool) []consequence {
	var all []consequence
	findings := c.findings(alike)
	for _, cause := range c.Causes {
		one := consequence{Cause: cause}
		for _, f := range findings {
			if f.CauseID == cause.ID && cause.ID != 0 {
				one.findings = append(one.findings, f)
			}
		}
		if i := slices.IndexFunc(one.findings, func(f finding) bool { return f.Remedy != "" }); i > 0 {
			leader := one.findings[i]
			one.findings = slices.Insert(slices.Delete(one.findings, i, i+1), 0, leader)
		}
		all = append(all, one)
	}
	for _, f := range findings {
		if !slices.ContainsFunc(c.Causes, func(cause Cause) bool { return cause.ID == f.CauseID && cause.ID != 0 }) {
			all = append(all, consequence{findings: []finding{f}})
		}
	}
	return all
}

// details returns what is wrong, for people: paragraphs with an empty line between them.
func (c Card) details(style Style) []string {
	columns := style.screen()
	var all []string
	for _, one := range c.consequences(!style.Full) {
		if len(one.findings) == 0 && one.Remedy == "" && len(wrap(one.String(), columns, causeIndent)) <= causeLines {
			continue // the first screen says it all
		}
		if len(all) > 0 {
			all = append(all, "")
		}
		all = append(all, one.paragraph(columns)...)
		for i, f := range one.findings {
			title := f.title()
			if !style.Full {
				title = cut(title, columns)
			}
			room := columns - width(title)
			title = paint(title, f.Verdict, style.Colour)
			switch {
			case style.Full:
				all = append(append(all, title), f.paragraph()...)
			case i == 0:
				all = append(append(all, title), f.brief(columns)...)
			default:
				text := fmt.Sprintf(" because of cause %d: ", f.CauseID) + oneLine(cmp.Or(f.Observed, f.Reason))
				all = append(all, title+cut(strings.TrimSuffix(text, ": "), max(room, 0)))
			}
		}
	}
	return all
}

// paragraph returns the whole sentence of the cause, and its remedy where no check says it.
func (one consequence) paragraph(columns int) []string {
	if one.ID == 0 {
		return nil
	}
	all := wrap(one.String(), columns, causeIndent)
	if one.Remedy != "" && (len(one.findings) == 0 || one.findings[0].Remedy == "") {
		all = append(all, item("remedy", wrap(oneLine(one.Remedy), columns-labelColumns, 0))...)
	}
	return all
}

// item returns the lines of a text beside its label.
func item(label string, lines []string) (all []string) {
	for i, line := range lines {
		start := strings.Repeat(" ", labelColumns)
		if i == 0 {
			start = pad("  "+label, labelColumns)
		}
		all = append(all, strings.TrimRight(start+line, " "))
	}
	return all
}

// title names the check, its families, the verdict and how many runs have it.
func (f finding) title() string {
	title := oneLine(f.Name)
	if who := enumerate(families(f.results)); who != "" {
		title += " over " + oneLine(who)
	}
	title += ": " + string(f.Verdict)
	if how := f.often(); how != "" {
		title += " " + how
	}
	return title
}

// brief returns what is said of the finding below its title in so few lines that all of it has
// at most ten. The command that repeats it is whole, and counts as one.
func (f finding) brief(columns int) (all []string) {
	columns -= labelColumns
	add := func(label, text string, most int) {
		if text = oneLine(text); text != "" {
			all = append(all, item(label, atMost(wrap(text, columns, 0), most, columns))...)
		}
	}
	observed := f.Observed
	if slices.ContainsFunc(f.results, func(r Result) bool { return r.Observed != f.Observed }) && f.Family != "" {
		observed = f.Family + ": " + observed
	}
	add("observed", observed, maxObserved)
	add("reason", f.Reason, maxMended)
	add("remedy", f.Remedy, maxMended)
	var shown []string
	for _, line := range f.excerpt(min(maxShown, maxDetail-2-len(all))) {
		shown = append(shown, cutMiddle(line, columns))
	}
	all = append(all, item("evidence", shown)...)
	if f.Reproduce != "" {
		all = append(all, item("reproduce", []string{oneLine(f.Reproduce)})...)
	}
	return all
}

// excerpt returns at most so many lines of the evidence: of what was seen at that moment, the
// beginning and the end, and then the end of the journal, which begins with an indented line.
func (f finding) excerpt(most int) []string {
	evidence, _ := f.evidence()
	seen, journal := evidence, []string(nil)
	if i := slices.IndexFunc(evidence, func(line string) bool { return strings.HasPrefix(line, " ") }); i >= 0 {
		seen, journal = evidence[:i], evidence[i:]
	}
	says := func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return line == "" || strings.HasSuffix(line, ":") })
	}
	seen, journal = says(slices.Clone(seen)), says(slices.Clone(journal))
	if len(seen) > most {
		seen = slices.DeleteFunc(seen, func(line string) bool { return strings.HasPrefix(line, "descriptors of ") })
	}
	if more := len(seen) - most; more > 0 {
		begin := min(2, most/2)
		seen = slices.Delete(seen, begin, begin+more)
	}
	for _, line := range journal[max(len(journal)-(most-len(seen)), 0):] {
		seen = append(seen, strings.Join(strings.Fields(line), " "))
	}
	return seen
}

// paragraph returns all that is said of the finding, as lines.
func (f finding) paragraph() []string {
	evidence, whose := f.evidence()
	all := slices.Concat(item("expected", lines(f.Expected)), item("observed", lines(f.Observed)), item("reason", lines(f.Reason)),
		item("remedy", lines(f.Remedy)))
	if len(evidence) > 0 {
		all = append(all, item("evidence", []string{whose})...)
		for _, line := range evidence {
			all = append(all, strings.TrimRight("    "+line, " "))
		}
	}
	return append(all, item("reproduce", lines(f.Reproduce))...)
}

// evidence returns the lines of the evidence, and "over" its family if that of
// another one differs.
func (f finding) evidence() (all []string, whose string) {
	for _, text := range f.Evidence {
		if own := lines(text); own != nil {
			all = append(all, own...)
		} else {
			all = append(all, "")
		}
	}
	if slices.ContainsFunc(f.results, func(r Result) bool { return !slices.Equal(r.Evidence, f.Evidence) }) {
		whose = "over " + oneLine(f.Family)
	}
	return all, whose
}

// WriteCheck writes all that the card says about one check, with all evidence and no line cut.
// The error for a check that the card does not have names those that it has.
func (c Card) WriteCheck(w io.Writer, name string, style Style) error {
	var all, names []string
	for _, row := range c.rows() {
		names = append(names, printable(row.name))
		if row.name != name {
			continue
		}
		for _, r := range row.results {
			f := finding{Result: r, results: []Result{r}}
			if len(all) > 0 {
				all = append(all, "")
			}
			all = append(all, paint(f.title(), r.Verdict, style.Colour))
			for _, cause := range c.Causes {
				if cause.ID == r.CauseID && cause.ID != 0 {
					all = append(all, item("cause", []string{strings.TrimPrefix(cause.String(), "cause ")})...)
				}
			}
			if len(r.Findings) > 0 {
				all = append(all, item("findings", []string{oneLine(strings.Join(r.Findings, ", "))})...)
			}
			all = append(all, item("stimuli", stimuli(r.Stimuli))...)
			if r.End != nil {
				all = append(all, item("end", r.End.story())...)
			}
			all = append(all, f.paragraph()...)
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("the card has no check called %q: it has %s", name, cmp.Or(enumerate(names), "none"))
	}
	_, err := io.WriteString(w, strings.Join(all, "\n")+"\n")
	return err
}

// stimuli says what a check did.
func stimuli(all []Stimulus) []string {
	if len(all) == 0 {
		return nil
	}
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = oneLine(string(s))
	}
	return []string{strings.Join(words, ", ")}
}

// story says how the subject was, its last words, and what had been done to it.
func (e End) story() []string {
	all := []string{e.String()}
	if e.Words != "" {
		all = append(all, `"`+oneLine(e.Words)+`"`)
	}
	if after := stimuli(e.After); after != nil {
		all = append(all, "since it last served a new client: "+after[0])
	}
	return all
}
