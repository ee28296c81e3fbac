// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/dialogue"
	"forkrig/internal/cli"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/server/forkserver"
)

var matrixFlag = flag.Bool("matrix", false, "run every check against every defect and print the table of what was caught (make defects)")

// TestDefects sees every check fail at each server that is wrong in a way that
// the check must catch. With -short it is one server for each check.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, check := range checks.All() {
		for _, defect := range check.Defects[:fewer(len(check.Defects), 1)] {
			t.Run(defect+"/"+check.Name, func(t *testing.T) {
				t.Parallel()
				result := check.Judge(t, reference(check, "-defect", defect), rig.IPv4)
				assert.Equal(t, scorecard.Fail, result.Verdict, "%+v", result)
				assert.NotEmpty(t, result.Remedy)
				assert.NotEmpty(t, result.Evidence)
				assert.Equal(t, findings[defect+"/"+check.Name], result.Findings)
				t.Logf("%s\n%s", result.Observed, result.Remedy)
			})
		}
	}
}

// findings are what a check tells of a defect where it tells several faults apart.
var findings = map[string][]string{
	"exit-on-accept-error/accept-aborted": {"ECONNABORTED", "EPROTO"},
	"exit-on-accept-error/accept-emfile":  {"EMFILE-end"},
	"exit-on-accept-error/accept-short":   {"ENFILE", "ENOBUFS", "ENOMEM"},
	"spin-on-emfile/accept-emfile":        {"EMFILE-spin"},
	"deaf-after-emfile/accept-emfile":     {"EMFILE-deaf"},
	"exit-on-enfile/accept-short":         {"ENFILE"},
	"small-backlog/backlog-burst":         {"backlog-small"},
}

// TestCorrectServer sees every check pass, and none skipped, at the server that
// has no defect: with executed workers, and set up as it is for its defects.
// The scenarios' TestScorecard sees the same of the server as it is by default. With -short
// only those checks pass here that the server is set up for in a way of their own.
func TestCorrectServer(t *testing.T) {
	t.Parallel()
	for _, check := range checks.All() {
		byDefault := slices.Equal(reference(check).Command, cli.BuiltIn().Command)
		if byDefault && testing.Short() {
			continue
		}
		if byDefault && check.Name == reapExact {
			continue // a thousand executed workers take long, and are the same to this check
		}
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			passes(t, check.Judge(t, reference(check, "-worker", "exec"), rig.IPv6))
		})
	}
}

const reapExact = "reap-exact"

// passes checks that the verdict is pass. A feature of the machine may be missing.
func passes(t *testing.T, result scorecard.Result) {
	t.Helper()
	if result.Missing != "" {
		t.Skip(result.Remedy)
	}
	assert.Equal(t, scorecard.Pass, result.Verdict, "%s\n%s\n%s", result.Observed, result.Remedy, strings.Join(result.Evidence, "\n"))
}

// TestServices judges the correct server in its other services, by the checks
// that converse in another way then, with -short by two of them.
func TestServices(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		service string
		closes  judge.Side
		args    []string
		passes  string
		skips   string
	}{
		"upper": {"upper", "", []string{"-service", "upper"}, "bytes-exact,clean-close,slow-reader,eintr-worker,concurrent", ""},
		"upper once": {"upper", judge.Server, []string{"-service", "upper", "-once"},
			"bytes-exact,clean-close,reap,signal-storm,reuse-time-wait,concurrent,backlog-burst,reset-survived,term", "eintr-worker,slow-reader"},
		"nothing is said": {"none", "", nil,
			"reap,clean-close,signal-storm,reuse-time-wait,fin-on-close,concurrent,backlog-burst,reset-survived,fork-failure,term,restart-gap", "bytes-exact,eintr-worker,slow-reader"},
	} {
		subject := cli.BuiltIn(story.args...)
		subject.Service, subject.Closes = dialogue.MustResolve(story.service), story.closes
		for list, skipped := range map[string]bool{story.passes: false, story.skips: true} {
			selected, err := checks.Select(list)
			require.NoError(t, err)
			if list == "" {
				continue // and not all of them
			}
			for _, check := range selected[:fewer(len(selected), 2)] {
				t.Run(name+"/"+check.Name, func(t *testing.T) {
					t.Parallel()
					result := check.Judge(t, subject, rig.IPv4)
					if skipped {
						assert.Equal(t, scorecard.Skip, result.Verdict)
						return
					}
					passes(t, result)
				})
			}
		}
	}
}

// reference is the built-in server, set up so that the check applies to it.
func reference(check judge.Check, args ...string) judge.Subject {
	switch check.Name {
	case "reuse-live-worker":
		args = append(args, "-leave-workers")
	case "eintr-worker", "eintr-sweep", "signal-storm":
		// With a timeout of its own a read is interrupted without any handler.
		args = append(args, "-idle", "1h")
	case "term":
		// On a busy machine a few seconds are over before the check has looked.
		args = append(args, "-grace", "1h")
	}
	closes := judge.Client
	// For restart-gap, the server closes first and has connections in TIME_WAIT.
	if slices.Contains(args, "close-with-unread-input") || check.Name == "restart-gap" {
		args, closes = append(args, "-once"), judge.Server
	}
	subject := cli.BuiltIn(args...)
	subject.Closes = closes
	if check.Name == "term" {
		subject.OnTerm = judge.Drain
	}
	return subject
}

// provedByScenarios are the defects that only the story of a scenario catches, with the
// test of package scenarios that sees it do so.
var provedByScenarios = map[string]string{
	"aborts-on-enomem":     "TestLittleMemoryCatches",
	"exit-on-full-backlog": "TestFullBacklogCatches",
	"clock-from-boot":      "TestClockJumpsCatches",
}

// TestScenariosProveDefects looks for those tests in the sources.
func TestScenariosProveDefects(t *testing.T) {
	files, err := filepath.Glob("../scenarios/*_test.go")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	var sources strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		sources.Write(text)
	}
	for defect, test := range provedByScenarios {
		assert.Contains(t, sources.String(), "func "+test+"(t *testing.T)", defect)
		assert.Contains(t, sources.String(), `"`+defect+`"`, test)
	}
}

// TestDefectsAndChecksNameEachOther holds the lists together.
func TestDefectsAndChecksNameEachOther(t *testing.T) {
	known := map[string]bool{}
	for _, defect := range forkserver.Defects() {
		known[defect.String()] = false
	}
	for _, check := range checks.All() {
		assert.NotEmpty(t, check.Defects, "%s has not been seen to fail", check.Name)
		for _, defect := range check.Defects {
			_, exists := known[defect]
			assert.True(t, exists, "%s names the defect %s, which the server does not have", check.Name, defect)
			known[defect] = true
		}
	}
	for defect := range provedBySearch {
		named, exists := known[defect]
		assert.True(t, exists, "the search is to find %s, which the server does not have", defect)
		assert.False(t, named, "a check names %s: the search need not prove it", defect)
		known[defect] = true
	}
	for defect := range provedByScenarios {
		named, exists := known[defect]
		assert.True(t, exists, "a scenario is to catch %s, which the server does not have", defect)
		assert.False(t, named, "a check names %s, or the search finds it: no scenario need prove it", defect)
		known[defect] = true
	}
	for defect, caught := range known {
		assert.True(t, caught, "no check names the defect %s, and neither the search nor a scenario proves it", defect)
	}
}

// TestMatrix runs every check against every defect, prints what was caught, and
// fails where a check that names a defect does not catch it. It takes minutes.
func TestMatrix(t *testing.T) {
	if !*matrixFlag {
		t.Skip("make defects runs it; TestDefects runs the part that must be caught")
	}
	var mu sync.Mutex
	caught := map[string][]string{}
	t.Cleanup(func() { fmt.Fprint(rig.Announce(), matrix(caught)) })
	progress := cli.NewProgress(os.Stderr)
	t.Cleanup(progress.End)
	defects := append([]forkserver.Defect{forkserver.NoDefect}, forkserver.Defects()...)
	done, all := 0, len(defects)*len(checks.All())
	for _, defect := range defects {
		for _, check := range checks.All() {
			t.Run(fmt.Sprintf("%s/%s", defect, check.Name), func(t *testing.T) {
				t.Parallel()
				result := check.Judge(t, reference(check, "-defect", defect.String()), rig.IPv4)
				named := slices.Contains(check.Defects, defect.String())
				mu.Lock()
				if result.Verdict == scorecard.Fail {
					caught[defect.String()] = append(caught[defect.String()], check.Name)
				}
				done++
				progress.Set(done, all, "verdicts")
				mu.Unlock()
				if named || defect == forkserver.NoDefect {
					assert.Equal(t, named, result.Verdict == scorecard.Fail, "%s: %s\n%s", result.Verdict, result.Observed, result.Remedy)
				}
			})
		}
	}
}

// matrix is the table as Markdown: those that name the defect are bold.
func matrix(caught map[string][]string) string {
	var b strings.Builder
	b.WriteString("| defect | what is wrong | caught by |\n|---|---|---|\n")
	for _, defect := range forkserver.Defects() {
		var names []string
		for _, check := range checks.All() {
			named, did := slices.Contains(check.Defects, defect.String()), slices.Contains(caught[defect.String()], check.Name)
			switch {
			case named && did:
				names = append(names, "**"+check.Name+"**")
			case did:
				names = append(names, check.Name)
			}
		}
		if _, proved := provedBySearch[defect.String()]; proved {
			names = append(names, "**search**")
		}
		if _, proved := provedByScenarios[defect.String()]; proved {
			names = append(names, "**scenario**")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", defect, defect.Meaning(), strings.Join(names, ", "))
	}
	return b.String()
}

// TestDocsNameEveryDefect makes sure that the table of docs/defects.md has every defect,
// with the checks that name it.
func TestDocsNameEveryDefect(t *testing.T) {
	readme, err := os.ReadFile("../docs/defects.md")
	if os.IsNotExist(err) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	require.NoError(t, err)
	rows := map[string]string{}
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		name := strings.Trim(cells[1], " `")
		if _, there := rows[name]; !there { // the table of the search has some of them again
			rows[name] = strings.TrimSpace(cells[2]) + "|" + cells[3]
		}
	}
	for _, defect := range forkserver.Defects() {
		row, there := rows[defect.String()]
		assert.True(t, there && strings.HasPrefix(row, defect.Meaning()+"|"), "docs/defects.md has no row for %s: make defects prints the table", defect)
		if _, proved := provedBySearch[defect.String()]; proved {
			assert.Contains(t, row, "**search**", "docs/defects.md, row %s: make defects prints the table", defect)
		}
		if _, proved := provedByScenarios[defect.String()]; proved {
			assert.Contains(t, row, "**scenario**", "docs/defects.md, row %s: make defects prints the table", defect)
		}
		for _, check := range checks.All() {
			if slices.Contains(check.Defects, defect.String()) {
				assert.Contains(t, row, "**"+check.Name+"**", "docs/defects.md, row %s: make defects prints the table", defect)
			}
		}
	}
}
