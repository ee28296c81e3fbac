// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Search describes a search. It starts nothing before [Search.Run].
type Search struct {
	Subject judge.Subject
	// Families are those in which the subject listens, at least one, with its traits
	// there: see [Examine].
	Families map[rig.Family]Traits
	// Seed is that of the first schedule. Each further schedule has the next seed of
	// the shard.
	Seed  uint64
	Shard scorecard.Shard
	// Schedules is how many schedules are played at most; 0 means as many as can begin
	// before Until. One of the two must be set.
	Schedules int
	Until     time.Time
	// AtOnce is how many schedules are played at the same time; 0 means two for each
	// processor.
	AtOnce int
	// First ends the search at the first failure.
	First bool
	// Short makes the first failure of each kind as short as possible.
	Short bool
	// Without are verbs that are left out.
	Without []Verb
	// Progress, if it is not nil, gets the report so far after each schedule, never from
	// two goroutines at the same time. It must not keep the slices.
	Progress func(Report)
}

// Report is what a search has found.
type Report struct {
	Schedules int // played, without those that shortened a failure
	Actions   int // of these schedules that did something
	Failures  int // schedules at which the subject failed
	Broken    int // schedules without a verdict, because of an error of the rig
	// Found is the number of the first schedule that failed, from 1; 0 means none.
	Found int
	// Stories are the first failure of each kind, at most 20, in the order in which they
	// were found.
	Stories []Story
	// Errors are the first errors of the rig, at most 20.
	Errors []string
}

// maxKept is how many stories and errors a report keeps.
const maxKept = 20

// check returns what is wrong with the search.
func (s Search) check() error {
	if len(s.Families) == 0 {
		return errors.New("search: Families is empty: examine the subject in at least one family")
	}
	for family := range s.Families {
		if !slices.Contains(rig.Families[:], family) {
			return fmt.Errorf("search: Families has family %d: give 4 or 6", int(family))
		}
	}
	if s.Schedules <= 0 && s.Until.IsZero() {
		return errors.New("search: neither Schedules nor Until is set: set one of them to bound the search")
	}
	return nil
}

// generator returns what makes the schedules of the search.
func (s Search) generator() generator {
	g := generator{silent: !judge.AnswersAnything(s.Subject.Service), closes: s.Subject.Closes, forks: true, without: s.Without}
	for _, family := range rig.Families {
		traits, listens := s.Families[family]
		if !listens {
			continue
		}
		g.families = append(g.families, family)
		g.forks = g.forks && traits.forks
		if traits.AtOnce > 0 {
			g.maxOpen = traits.AtOnce + 1
		}
	}
	return g
}

// Run searches until the search ends, or the context of tb, and returns what it found. It
// never fails tb. A Search that cannot run gives a report that is broken and says why.
func (s Search) Run(tb rig.TB) Report {
	tb.Helper()
	if err := s.check(); err != nil {
		return Report{Broken: 1, Errors: []string{err.Error()}}
	}
	r := runner{Search: s, tb: tb, generator: s.generator(), causes: map[string]bool{}}
	atOnce := s.AtOnce
	if atOnce == 0 {
		atOnce = 2 * runtime.NumCPU()
	}
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			for {
				n, more := r.next()
				if !more {
					return
				}
				r.play(n)
			}
		})
	}
	wait.Wait()
	return r.report
}

// runner is a search that runs.
type runner struct {
	Search
	tb        rig.TB
	generator generator

	mu     sync.Mutex
	begun  int // schedules
	stop   int // the number of the first schedule that failed, from 1; 0 means none
	report Report
	causes map[string]bool // of the stories, which are the kinds of failure
}

// next returns the number of the next schedule, from 0.
func (r *runner) next() (n int, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.Schedules > 0 && r.begun >= r.Schedules:
		return 0, false
	case !r.Until.IsZero() && time.Now().After(r.Until):
		return 0, false
	case r.stop > 0 && r.begun >= r.stop:
		return 0, false
	case r.tb.Context().Err() != nil:
		return 0, false
	}
	r.begun++
	return r.begun - 1, true
}

// play plays the n-th schedule and adds the outcome to the report.
func (r *runner) play(n int) {
	seed := seedOf(r.Shard, r.Seed, n)
	schedule := r.generator.schedule(seed)
	outcome := Play(r.tb, r.Subject, r.Families[schedule.Family], schedule)
	if outcome.Unjudged && r.tb.Context().Err() != nil {
		return // the search was ended, and the schedule with it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Schedules++
	for _, acted := range outcome.Acted {
		if acted {
			r.report.Actions++
		}
	}
	switch {
	case outcome.Failed():
		r.failed(n, seed, schedule, outcome)
	case outcome.Verdict != scorecard.Pass:
		r.report.Broken++
		if len(r.report.Errors) < maxKept {
			r.report.Errors = append(r.report.Errors, fmt.Sprintf("seed %d: %s: %s %s\n%v", seed, outcome.Verdict, outcome.Observed, outcome.Reason, schedule))
		}
	}
	if r.Progress != nil {
		r.Progress(r.report)
	}
}

// failed adds a failure to the report. The caller holds the lock, which is released
// while the story is made short.
func (r *runner) failed(n int, seed uint64, schedule Schedule, outcome Outcome) {
	r.report.Failures++
	if r.report.Found == 0 || n+1 < r.report.Found {
		r.report.Found = n + 1
	}
	if r.First && (r.stop == 0 || n+1 < r.stop) {
		r.stop = n + 1
	}
	if r.causes[outcome.Remedy] || len(r.report.Stories) >= maxKept {
		return
	}
	r.causes[outcome.Remedy] = true
	story := Story{Seed: seed, Subject: r.Subject, AtOnce: r.Families[schedule.Family].AtOnce, Schedule: schedule,
		Observed: outcome.Observed, Cause: outcome.Remedy, Evidence: outcome.Evidence}
	if r.Short {
		r.mu.Unlock()
		story = story.Shortened(r.tb, r.Families)
		r.mu.Lock()
		if story.Cause != outcome.Remedy && r.causes[story.Cause] {
			return // the short story is the same as another one
		}
		r.causes[story.Cause] = true
	}
	r.report.Stories = append(r.report.Stories, story)
}

// repetitions is how often a failure is repeated, to see how reliable it is.
const repetitions = 3

// Shortened returns the story as short as possible, with the number of repetitions
// that failed. A story that does not fail again keeps its schedule. families are those
// of the search.
func (s Story) Shortened(tb rig.TB, families map[rig.Family]Traits) Story {
	tb.Helper()
	traits := func(schedule Schedule) Traits {
		if t, known := families[schedule.Family]; known {
			return t
		}
		return families[s.Schedule.Family]
	}
	// Any failure counts: a race may decide how a defect shows.
	playAgain := func(schedule Schedule, hasty bool) (Outcome, bool) {
		outcome := play(tb, s.Subject, traits(schedule), schedule, manner{hasty: hasty})
		return outcome, outcome.Failed()
	}
	again := s.repeated(playAgain)
	if again.Failed == 0 {
		return again
	}
	// Hasty plays give up early, so that shortening does not take long. Whether the
	// schedules that they suspect really fail is confirmed afterwards, the shortest first.
	suspects := []Schedule{s.Schedule}
	outcome, _ := playAgain(s.Schedule, true)
	shrink(s.Schedule, outcome, func(candidate Schedule) (Outcome, bool) {
		if _, known := families[candidate.Family]; !known {
			return Outcome{}, false
		}
		outcome, failed := playAgain(candidate, true)
		if failed {
			suspects = append(suspects, candidate)
		}
		return outcome, failed
	}, 150, time.Now().Add(rig.Scaled(2*time.Minute)))
	best := again
	for i, suspect := range slices.Backward(suspects) {
		if i == 0 || i < len(suspects)-8 {
			break
		}
		shorter := s
		shorter.Schedule, shorter.From = suspect, len(s.Schedule.Actions)
		shorter = shorter.repeated(playAgain)
		if 2*shorter.Failed > repetitions {
			return shorter
		}
		if shorter.Failed > best.Failed {
			best = shorter // a longer one may fail more often than a shorter one
		}
	}
	return best
}

// repeated plays the story several times in parallel, and counts the failures.
func (s Story) repeated(play func(Schedule, bool) (Outcome, bool)) Story {
	outcomes := make([]*Outcome, repetitions)
	var wait sync.WaitGroup
	for i := range outcomes {
		wait.Go(func() {
			if outcome, failed := play(s.Schedule, false); failed {
				outcomes[i] = &outcome
			}
		})
	}
	wait.Wait()
	s.Failed, s.Repeated = 0, repetitions
	for _, outcome := range outcomes {
		if outcome != nil {
			s.Failed++
			s.Observed, s.Cause, s.Evidence = outcome.Observed, outcome.Remedy, outcome.Evidence
		}
	}
	return s
}
