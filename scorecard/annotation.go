// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxAnnotations is how many annotations of one level GitHub takes from one step.
const maxAnnotations = 10

// How many columns of an annotation are shown.
const (
	annotationTitle = 200
	annotationText  = 1000 // of each part
)

// An annotation is a message that GitHub shows beside a workflow run and its pull request.
type annotation struct {
	level string // "error" or "warning"
	title string
	text  []string
}

// WriteAnnotations writes commands for a runner of GitHub Actions, a line for each: an error for each
// cause, for what fails or is broken without one, and where the run was cut short, and a warning for
// what warns. Of each level there are at most ten; the last one says how many more there would be.
// Whatever the texts hold, nothing else is commanded. What is written before must have ended its line.
func (c Card) WriteAnnotations(w io.Writer) error {
	var wrong, warnings []annotation
	for _, cause := range c.Causes {
		wrong = append(wrong, annotation{"error", fmt.Sprintf("forkrig: cause %d", cause.ID),
			[]string{strings.TrimPrefix(cause.String(), fmt.Sprintf("cause %d: ", cause.ID)), note("remedy", cause.Remedy)}})
	}
	for _, f := range c.findings(true) {
		explained := slices.ContainsFunc(c.Causes, func(cause Cause) bool { return cause.explains(f.Result) })
		text := []string{f.Observed, note("reason", f.Reason), note("remedy", f.Remedy), f.Reproduce}
		switch {
		case f.Verdict == Warn:
			warnings = append(warnings, annotation{"warning", "forkrig: " + f.title(), text})
		case !explained:
			wrong = append(wrong, annotation{"error", "forkrig: " + f.title(), text})
		}
	}
	if end := c.end(); end != "" {
		text := []string{end}
		i := slices.IndexFunc(c.Checks, func(r Result) bool { return r.Unjudged })
		if i >= 0 && (c.EndedBy == "" || !strings.HasSuffix(c.Checks[i].Reason, c.EndedBy)) {
			text = append(text, c.Checks[i].Reason)
		}
		wrong = append(wrong, annotation{"error", "forkrig: incomplete", text})
	}
	if len(wrong) == 0 {
		if why := c.besideChecks(); why != "" {
			wrong = append(wrong, annotation{"error", "forkrig: nothing is known", []string{why}})
		}
	}
	var b bytes.Buffer
	for _, all := range [][]annotation{wrong, warnings} {
		if more := len(all) - maxAnnotations + 1; more > 1 {
			all = append(slices.Clone(all[:maxAnnotations-1]),
				annotation{all[0].level, fmt.Sprintf("forkrig: %d more", more), []string{"the summary of the job has all of them"}})
		}
		for _, a := range all {
			b.WriteString(a.command())
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// note is a text after its label, "" where there is none.
func note(label, text string) string {
	if text == "" {
		return ""
	}
	return labelled(label, text)
}

// command returns the annotation as a line that a runner of GitHub Actions reads.
func (a annotation) command() string {
	var text []string
	for _, part := range a.text {
		if part = cut(oneLine(part), annotationText); part != "" {
			text = append(text, part)
		}
	}
	title := cut(oneLine(a.title), annotationTitle)
	return fmt.Sprintf("::%s title=%s::%s\n", a.level, escapeProperty(title), escapeData(strings.Join(text, "\n")))
}

// The escapes of workflow commands, as GitHub's toolkit has them.
var (
	escapeData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace
	escapeProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace
)
