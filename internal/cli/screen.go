// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"forkrig/judge"
	"forkrig/scorecard"
)

// screen shows how a trial goes on: a line for each check as it ends, but for those that are
// not judged because of what was told before. On a terminal the checks that go on stand below
// these lines, each with its time and what it waits for, and how many are left. Its methods are
// safe for concurrent use.
type screen struct {
	*footer
	verbose bool
	all     []scorecard.Result // every check, in the order of the table

	began    time.Time
	mu       sync.Mutex
	estimate estimate // from when the first check began: what precedes the checks says nothing of them
	ended    int
	running  []*judge.Run // in the order of the table
	unserved []string     // families in which no check is judged, told before
}

// maxRunning is how many checks that go on are shown.
const maxRunning = 8

func newScreen(out *output, all []scorecard.Result, verbose bool) *screen {
	s := &screen{verbose: verbose, all: slices.Clone(all), began: time.Now()}
	s.footer = newFooter(out, s.goingOn)
	return s
}

// place is where the run stands in the table.
func (s *screen) place(run *judge.Run) int {
	return slices.IndexFunc(s.all, func(r scorecard.Result) bool {
		return r.Name == run.Check.Name && r.Family == run.Family.String()
	})
}

func (s *screen) tell(e judge.Event) {
	if text := s.enter(e); text != "" {
		s.say(text)
	}
}

// enter notes what happens, and returns what is said of it.
func (s *screen) enter(e judge.Event) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Journal != nil:
		return fmt.Sprintf("%s %v %s\n", e.Run.Check.Name, e.Run.Family, scorecard.Printable(e.Journal.String()))
	case e.Result == nil:
		if s.estimate.began.IsZero() {
			s.estimate.began = e.Run.Began
		}
		s.running = append(s.running, e.Run)
		slices.SortFunc(s.running, func(a, b *judge.Run) int { return s.place(a) - s.place(b) })
		if s.verbose {
			return fmt.Sprintf("%s %v begins\n", e.Run.Check.Name, e.Run.Family)
		}
		return ""
	}
	s.ended++
	s.running = slices.DeleteFunc(s.running, func(r *judge.Run) bool { return r == e.Run })
	r := *e.Result
	unserved := strings.HasPrefix(r.Reason, scorecard.NotServed)
	if r.Verdict == scorecard.Skip && r.CauseID != 0 || unserved && slices.Contains(s.unserved, r.Family) {
		return "" // it was told before
	}
	if unserved {
		s.unserved = append(s.unserved, r.Family)
		r.Name = "all checks"
	}
	return r.Line(s.out.style()) + "\n"
}

// goingOn is what stands below the results, in at most so many lines.
func (s *screen) goingOn(height int) (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range s.running[:min(len(s.running), maxRunning, max(height-3, 0))] {
		waiting := ""
		if w := run.Waiting(); w.What != "" {
			waiting = "waits for " + w.What
		}
		lines = append(lines, fmt.Sprintf("  ...    %-18s %v  %6v  %s", run.Check.Name, run.Family, since(run.Began), waiting))
	}
	all, running := len(s.all), len(s.running)
	if all == s.ended {
		return lines
	}
	gone := time.Since(s.began).Round(time.Second)
	if s.estimate.began.IsZero() {
		return []string{fmt.Sprintf("the preliminary trial is running, %v elapsed", gone)}
	}
	text := fmt.Sprintf("%d of %d checks have ended, %d are running, %v elapsed", s.ended, all, running, gone)
	if left := s.estimate.text(time.Now(), s.ended, all); left != "" {
		text += ", " + left
	}
	return append(lines, text)
}
