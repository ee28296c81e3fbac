// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"regexp"
	"strings"

	"forkrig/rig"
	"forkrig/scorecard"
)

// lastWords returns what the subject wrote last about itself, which is the reason where it
// ended: see [headline].
func (c *Case) lastWords(s *Instance) string {
	if words := headline(s.Process.Stderr.Lines(), c.Subject.routine); words != "" {
		return words
	}
	return headline(s.Process.Stdout.Lines(), c.Subject.routine)
}

// awaitWords waits until what a subject wrote that has ended has been read. A process that
// it left may hold its output open.
func (c *Case) awaitWords(s *Instance) {
	if s.Process.Running() {
		return
	}
	ctx, cancel := context.WithTimeout(c.Context(), rig.Scaled(restTime))
	defer cancel()
	_ = s.Process.Stdout.AwaitEnd(ctx)
	_ = s.Process.Stderr.AwaitEnd(ctx)
}

var (
	// A runtime that ends a program says why before it lists the calls.
	fatal = regexp.MustCompile(`^(panic|fatal error|runtime|PHP Fatal error): |^thread '.*' (\(\d+\) )?panicked at `)
	// The calls, as Java and JavaScript, and as Ruby lists them.
	call = regexp.MustCompile(`^\s+(at|from) `)
	// The begin of a list of calls that Python writes; the reason follows it.
	traceback = regexp.MustCompile(`^\s*(\S+ )?Traceback \(most recent call last\):`)
	named     = regexp.MustCompile(`Error|Exception|Errno`)
)

// headline returns the line that says why a program ended, of what it wrote: that of a panic or
// of an exception where there is one, and the last line otherwise. It leaves out lines
// that are routine, as [scorecard.MaskWords] has them.
func headline(lines []string, routine map[string]bool) string {
	var last, exception string
	for i, line := range lines {
		text := strings.TrimSpace(line)
		if text == "" || routine[scorecard.MaskWords(line)] {
			continue
		}
		last = text
		switch {
		case strings.HasPrefix(text, "thread '") && fatal.MatchString(text) && i+1 < len(lines):
			return text + " " + strings.TrimSpace(lines[i+1])
		case fatal.MatchString(text):
			return text
		case traceback.MatchString(line):
			if reason := unindented(lines[i+1:]); reason != "" {
				exception = reason
			}
		case !call.MatchString(line) && i+1 < len(lines) && call.MatchString(lines[i+1]) && (exception == "" || named.MatchString(text)):
			exception = text
		}
	}
	if exception != "" {
		return exception
	}
	return last
}

// unindented returns the first line that does not begin with a blank.
func unindented(lines []string) string {
	for _, line := range lines {
		if line != "" && line == strings.TrimLeft(line, " \t") {
			return line
		}
	}
	return ""
}

// routineWords returns the lines that the subject writes while nothing is done to it, masked.
func routineWords(s *Instance) map[string]bool {
	routine := map[string]bool{}
	for _, lines := range [][]string{s.Process.Stdout.Lines(), s.Process.Stderr.Lines()} {
		for _, line := range lines {
			routine[scorecard.MaskWords(line)] = true
		}
	}
	return routine
}
