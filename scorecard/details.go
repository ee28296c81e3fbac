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
	said := func(r Result) [7]any {
		if alike {
			r.Expected, r.Observed = "", ""
		}
		return [...]any{r.Verdict, r.Expected, r.Observed, r.Remedy, r.Reason, r.CauseID, r.Runs}
	}
	var all []finding
	for _, w := range c.rows() {
		told := slices.DeleteFunc(w, func(r Result) bool { // the first screen says all about the others
			return !r.Verdict.kind().told || r.Unjudged && r.Observed == "" && len(r.Evidence) == 0
		})
		for _, results := range grouped(told, said) {
			all = append(all, finding{results[0], results})
		}
	}
	slices.SortStableFunc(all, func(a, b finding) int { return b.Verdict.kind().gravity - a.Verdict.kind().gravity })
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
			if cause.explains(f.Result) {
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
		if !slices.ContainsFunc(c.Causes, func(cause Cause) bool { return cause.explains(f.Result) }) {
			all = append(all, consequence{findings: []finding{f}})
		}
	}
	return all
}

// explains says whether the result names this cause.
func (c Cause) explains(r Result) bool { return c.ID == r.CauseID && c.ID != 0 }

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
		all = append(all, one.heading(columns)...)
		for i, f := range one.findings {
			title := f.title()
			if !style.Full {
				title = cut(title, columns)
			}
			title = paint(title, f.Verdict, style.Colour)
			switch {
			case style.Full:
				all = append(append(all, title), f.paragraph()...)
			case i == 0:
				all = append(append(all, title), f.brief(columns)...)
			default:
				text := labelled(fmt.Sprintf(" because of cause %d", f.CauseID), oneLine(cmp.Or(f.Observed, f.Reason)))
				all = append(all, title+cut(text, max(columns-width(title), 0)))
			}
		}
	}
	return all
}

// heading returns the whole sentence of the cause, and its remedy where no check says it.
func (one consequence) heading(columns int) []string {
	if one.ID == 0 {
		return nil
	}
	all := wrap(one.String(), columns, causeIndent)
	if one.Remedy != "" && (len(one.findings) == 0 || one.findings[0].Remedy == "") {
		all = append(all, item("remedy", wrap(oneLine(one.Remedy), columns-labelColumns, 0))...)
	}
	return append(all, item("picture", lines(pictureOf(one.Recording)))...)
}

// item returns the lines of a text beside its label.
func item(label string, lines []string) (all []string) {
	start := "  " + label
	for _, line := range lines {
		all = append(all, strings.TrimRight(pad(start, labelColumns)+line, " "))
		start = ""
	}
	return all
}

// title names the check, its families, the verdict and how many runs have it.
func (f finding) title() string {
	title := oneLine(f.Name)
	if who := enumerate(families(f.results)); who != "" {
		title += " over " + oneLine(who)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s: %s %s", title, f.Verdict, f.often()), " ")
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
	picture := item("picture", lines(f.picture()))
	shown := f.excerpt(min(maxShown, maxDetail-2-len(all)-len(picture)))
	for i, line := range shown {
		shown[i] = cutMiddle(line, columns)
	}
	all = slices.Concat(all, item("evidence", shown), picture)
	if f.Reproduce != "" {
		all = append(all, item("reproduce", []string{oneLine(f.Reproduce)})...)
	}
	return all
}

// excerpt returns at most so many lines of the evidence: of what was seen at that moment, the
// beginning and the end, and then the end of the journal, which begins with an indented line.
func (f finding) excerpt(most int) []string {
	var seen, journal []string
	began := false
	for _, line := range f.evidence() {
		began = began || strings.HasPrefix(line, " ")
		switch {
		case line == "" || strings.HasSuffix(line, ":"): // it says nothing
		case began:
			journal = append(journal, strings.Join(strings.Fields(line), " "))
		default:
			seen = append(seen, line)
		}
	}
	if len(seen) > most {
		seen = slices.DeleteFunc(seen, func(line string) bool { return strings.HasPrefix(line, "descriptors of ") })
	}
	if more := len(seen) - most; more > 0 {
		begin := min(2, most/2)
		seen = slices.Delete(seen, begin, begin+more)
	}
	return append(seen, journal[max(len(journal)-(most-len(seen)), 0):]...)
}

func (f finding) paragraph() []string {
	all := slices.Concat(item("expected", lines(f.Expected)), item("observed", lines(f.Observed)),
		item("reason", lines(f.Reason)), item("remedy", lines(f.Remedy)))
	if len(f.Evidence) > 0 {
		whose := "" // the family, if the evidence of another one differs
		if slices.ContainsFunc(f.results, func(r Result) bool { return !slices.Equal(r.Evidence, f.Evidence) }) {
			whose = "over " + oneLine(f.Family)
		}
		all = append(all, item("evidence", []string{whose})...)
		for _, line := range f.evidence() {
			all = append(all, strings.TrimRight("    "+line, " "))
		}
	}
	return slices.Concat(all, item("picture", lines(f.picture())), item("reproduce", lines(f.Reproduce)))
}

// picture is the page beside the recording, relative to the card's directory; "" where there is none.
func (f finding) picture() string { return pictureOf(f.Recording) }

func pictureOf(recording string) string {
	name, recorded := strings.CutSuffix(recording, ".json")
	if !recorded {
		return ""
	}
	return name + ".html"
}

func (f finding) evidence() (all []string) {
	for _, text := range f.Evidence {
		if own := lines(text); own != nil {
			all = append(all, own...)
		} else {
			all = append(all, "")
		}
	}
	return all
}

// WriteCheck writes all that the card says about one check, with all evidence and no line cut.
// The error for a check that the card does not have names those that it has.
func (c Card) WriteCheck(w io.Writer, name string, style Style) error {
	all := c.rows()
	i := slices.IndexFunc(all, func(w row) bool { return w[0].Name == name })
	if i < 0 {
		var names []string
		for _, row := range all {
			names = append(names, printable(row[0].Name))
		}
		return fmt.Errorf("the card has no check called %q: it has %s", name, cmp.Or(enumerate(names), "none"))
	}
	var text []string
	for _, r := range all[i] {
		if len(text) > 0 {
			text = append(text, "")
		}
		one := c.account(r)
		text = append(append(text, paint(one[0], r.Verdict, style.Colour)), one[1:]...)
	}
	return writeLines(w, text)
}

// account returns all that the card says about one result, with all evidence and no line cut.
func (c Card) account(r Result) (text []string) {
	f := finding{r, []Result{r}}
	text = append(text, f.title())
	if i := slices.IndexFunc(c.Causes, func(cause Cause) bool { return cause.explains(r) }); i >= 0 {
		text = append(text, item("cause", []string{strings.TrimPrefix(c.Causes[i].String(), "cause ")})...)
	}
	text = append(text, item("findings", lines(oneLine(strings.Join(r.Findings, ", "))))...)
	text = append(text, item("stimuli", lines(joined(r.Stimuli)))...)
	if r.End != nil {
		text = append(text, item("end", r.End.story())...)
	}
	return append(text, f.paragraph()...)
}

// joined names the stimuli in one printable line.
func joined(stimuli []Stimulus) string {
	words := make([]string, len(stimuli))
	for i, s := range stimuli {
		words[i] = oneLine(string(s))
	}
	return strings.Join(words, ", ")
}

// story says how the subject was, its last words, and what had been done to it.
func (e End) story() []string {
	all := []string{e.String()}
	if e.Words != "" {
		all = append(all, `"`+oneLine(e.Words)+`"`)
	}
	if after := joined(e.After); after != "" {
		all = append(all, "since it last served a new client: "+after)
	}
	return all
}
