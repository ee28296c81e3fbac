// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"slices"

	"forkrig/recorder"
	"forkrig/scorecard"
)

// isRecording says whether a file is a recording. What is not a regular file could be read only once.
func isRecording(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	content, err := os.ReadFile(name)
	return err == nil && recorder.IsRecording(content)
}

// isStory says whether a file is a story.
func isStory(name string) bool {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false
	}
	_, err := readStory(name)
	return err == nil
}

// showRecording prints what a recording has, one event a line.
func (o *output) showRecording(name string) (status int, err error) {
	r, err := recorder.ReadFile(name)
	if err != nil {
		return statusUsage, err
	}
	line := func(format string, args ...any) { fmt.Fprintln(o, scorecard.Printable(fmt.Sprintf(format, args...))) }
	line("%s, kernel %s, seed %d", r.Name, r.Kernel, r.Seed)
	for _, text := range []struct{ label, text string }{{"verdict", r.Outcome.Verdict}, {"expected", r.Outcome.Expected},
		{"observed", r.Outcome.Observed}, {"why", r.Outcome.Why}} {
		if text.text != "" {
			line("  %-10s %s", text.label, text.text)
		}
	}
	for _, words := range r.Outcome.Words {
		line("  %-10s %s", "its words", words)
	}
	fmt.Fprintln(o)
	for _, e := range r.Events {
		where := e.Host
		if e.Process > 0 {
			p := r.Processes[e.Process-1]
			where += "/" + p.Name
		}
		mark := " "
		if e.ID == r.Focus {
			mark = ">" // where it went wrong
		}
		line("%s#e%-5d %11.3fms  %-18s %-8s %s", mark, e.ID, float64(e.At.Microseconds())/1000, where, e.Kind, e.Text)
	}
	for _, d := range r.Dropped {
		line("left out: the oldest %d events of the kind %s", d.Count, d.Kind)
	}
	return statusOf(!slices.Contains([]string{"fail", "broken"}, r.Outcome.Verdict)), nil
}
