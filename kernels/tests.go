// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TestRun is what came of a test binary on one kernel.
type TestRun struct {
	Name    string   `json:"name"`
	Passed  int      `json:"passed"` // tests and subtests
	Failed  []string `json:"failed,omitempty"`
	Skipped []string `json:"skipped,omitempty"`
	Wrong   string   `json:"wrong,omitempty"` // why it ended otherwise than a test binary does
	Millis  int64    `json:"ms"`
	// Output is what the tests that failed have printed, and the last lines of all, where something failed.
	Output []string `json:"output,omitempty"`
}

var testEnds = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\S+)`)

// hear notes the end of a test.
func (r *TestRun) hear(line string) {
	words := testEnds.FindStringSubmatch(strings.TrimSpace(line))
	if words == nil {
		return
	}
	switch words[1] {
	case "PASS":
		r.Passed++
	case "FAIL":
		r.Failed = append(r.Failed, words[2])
	case "SKIP":
		r.Skipped = append(r.Skipped, words[2])
	}
}

// testLog keeps what tests print until they end, and of those that fail for longer.
type testLog struct {
	now    string              // the test that prints
	of     map[string][]string // by test
	failed []string
}

const (
	keptOfTest   = 200 // lines
	keptOfFailed = 2000
)

var testPrints = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)`)

// hear keeps a line.
func (l *testLog) hear(line string) {
	ends := testEnds.FindStringSubmatch(strings.TrimSpace(line))
	if prints := testPrints.FindStringSubmatch(line); prints != nil {
		l.now = prints[1]
	}
	switch {
	case ends != nil && ends[1] == "FAIL":
		l.failed = append(append(l.failed, line), l.of[ends[2]]...)
		l.failed = l.failed[:min(len(l.failed), keptOfFailed)] // the first ones explain the others
		fallthrough
	case ends != nil:
		delete(l.of, ends[2])
	case l.now != "" && !strings.HasPrefix(line, "=== "):
		if l.of == nil {
			l.of = map[string][]string{}
		}
		lines := append(l.of[l.now], line)
		l.of[l.now] = lines[max(0, len(lines)-keptOfTest):]
	}
}

// end returns the run with what is known at its end.
func (r TestRun) end(after time.Duration, wrong string, output []string) TestRun {
	r.Millis, r.Wrong = after.Milliseconds(), wrong
	if !r.right() {
		r.Output = output
	}
	return r
}

func (r TestRun) right() bool { return len(r.Failed) == 0 && r.Wrong == "" }

// testCounts says how many tests passed, failed and were skipped.
func (c Column) testCounts() string {
	if len(c.Tests) == 0 {
		return Nothing
	}
	var passed, failed, skipped int
	for _, run := range c.Tests {
		passed, failed, skipped = passed+run.Passed, failed+len(run.Failed), skipped+len(run.Skipped)
	}
	return fmt.Sprintf("%d pass, %d fail, %d skip", passed, failed, skipped)
}

// Tests returns the tests that failed or were skipped on a kernel, the packages of which not all is known,
// and how many of all packages passed whole on all kernels.
func (t Table) Tests() (rows []Row, passed, packages int) {
	all := t.asks(func(c Column) (keys []string, cells map[string]string) {
		cells = map[string]string{}
		for _, run := range c.Tests {
			cells[run.Name] = "pass"
			if len(run.Failed) > 0 {
				cells[run.Name] = "fail"
			}
			if run.Wrong != "" {
				cells[run.Name] = run.Wrong
			}
			for _, name := range run.Failed {
				cells[run.Name+" "+name] = "fail"
			}
			for _, name := range run.Skipped {
				cells[run.Name+" "+name] = "skip"
			}
		}
		for key := range cells {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return keys, cells
	})
	for _, row := range all {
		binary, test, isTest := strings.Cut(row.Name, " ")
		row.Repeat = []string{"-tests", binary}
		if isTest {
			row.Repeat = append(row.Repeat, "-run", "^"+test+"$")
		}
		for i, c := range t.Kernels {
			// One that passed has no cell; nor has one of a run that did not end.
			if isTest && row.Cells[i] == Nothing && slices.ContainsFunc(c.Tests, func(run TestRun) bool { return run.Name == binary && run.Wrong == "" }) {
				row.Cells[i] = "pass"
			}
		}
		if !isTest {
			packages++
			others := slices.DeleteFunc(slices.Clone(row.Cells), func(cell string) bool { return cell == "pass" })
			if len(others) == 0 {
				passed++
			}
			if !slices.ContainsFunc(others, func(cell string) bool { return cell != "fail" }) {
				continue // its tests say what failed
			}
		}
		rows = append(rows, row)
	}
	return rows, passed, packages
}
