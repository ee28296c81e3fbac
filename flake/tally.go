// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// tally counts what happened in one mode.
type tally struct {
	mode     Mode
	suites   int
	runs     int // scenario runs: passed or failed
	failures int // of these, and suites that did not come to an end
	skipped  int
	defects  int // leaves that see a defect caught, passed or failed
	missed   int // of these
	took     time.Duration
}

// countedRuns is what the number of runs that was asked for means: scenario
// runs or, where the pattern leaves none, runs of defects.
func (t *tally) countedRuns() int {
	if t.runs > 0 {
		return t.runs
	}
	return t.defects
}

// perThousand is how many of 1,000 scenario runs failed.
func perThousand(failures, runs int) string {
	if runs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(failures)*1000/float64(runs))
}

// failure is what failed under one name.
type failure struct {
	name  string
	modes map[string]int
	kept  []string // where the output of each is
}

func (f *failure) times() int {
	n := 0
	for _, times := range f.modes {
		n += times
	}
	return n
}

// defectRuns is how often a check was seen to catch a defect.
type defectRuns struct{ runs, missed int }

// report is the outcome of everything that ran.
type report struct {
	tallies  []*tally
	failures map[string]*failure
	defects  map[string]*defectRuns
}

func newReport() *report {
	return &report{failures: map[string]*failure{}, defects: map[string]*defectRuns{}}
}

// fail counts a failure under the name.
func (r *report) fail(name string, mode Mode, kept string) {
	f := r.failures[name]
	if f == nil {
		f = &failure{name: name, modes: map[string]int{}}
		r.failures[name] = f
	}
	f.modes[mode.Name]++
	f.kept = append(f.kept, kept)
}

// add counts the tests of a suite. kept says where the output of a test is.
func (r *report) add(t *tally, tests []*test, kept func(*test) string) {
	t.suites++
	for _, run := range tests {
		name, ofDefect := strings.CutPrefix(run.name, defectTests)
		switch run.verdict {
		case skipped:
			t.skipped++
			continue
		case unfinished:
			continue // the suite has failed
		case failed:
			r.fail(run.name, t.mode, kept(run))
		}
		if !ofDefect {
			t.runs++
			if run.verdict == failed {
				t.failures++
			}
			continue
		}
		d := r.defects[name]
		if d == nil {
			d = &defectRuns{}
			r.defects[name] = d
		}
		t.defects++
		d.runs++
		if run.verdict == failed {
			t.missed++
			d.missed++
		}
	}
}

// defectTests precedes the names of the leaves that see a defect caught.
const defectTests = "TestDefects/"

// total adds the tallies up.
func (r *report) total() *tally {
	sum := &tally{mode: Mode{Name: "all"}}
	for _, t := range r.tallies {
		sum.suites += t.suites
		sum.runs += t.runs
		sum.failures += t.failures
		sum.skipped += t.skipped
		sum.defects += t.defects
		sum.missed += t.missed
		sum.took += t.took
	}
	return sum
}

// print writes the tables.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "mode\tsuites\tscenario runs\tfailures\tper 1,000\tskipped\tdefect runs\tmissed\ttook\t")
	for _, t := range append(slices.Clone(r.tallies), r.total()) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%v\t\n", t.mode.Name, t.suites, t.runs, t.failures,
			perThousand(t.failures, t.runs), t.skipped, t.defects, t.missed, t.took.Round(time.Second))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(r.defects) > 0 {
		fmt.Fprintln(w)
		table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "defect/check\truns\tmissed\t")
		for _, name := range slices.Sorted(maps.Keys(r.defects)) {
			fmt.Fprintf(table, "%s\t%d\t%d\t\n", name, r.defects[name].runs, r.defects[name].missed)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	worst := slices.SortedFunc(maps.Values(r.failures), func(a, b *failure) int {
		return cmp.Or(cmp.Compare(b.times(), a.times()), cmp.Compare(a.name, b.name))
	})
	for _, f := range worst {
		var modes []string
		for _, mode := range slices.Sorted(maps.Keys(f.modes)) {
			modes = append(modes, fmt.Sprintf("%s %d", mode, f.modes[mode]))
		}
		fmt.Fprintf(w, "\nfailed %d times (%s): %s\n", f.times(), strings.Join(modes, ", "), f.name)
		for _, place := range f.kept {
			fmt.Fprintf(w, "    %s\n", place)
		}
	}
	return nil
}
