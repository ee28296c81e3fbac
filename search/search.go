package search

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Search describes a search. Making one does nothing; see [Search.Run].
type Search struct {
	Subject judge.Subject
	// Families are where the subject listens, with its traits there: see [Examine].
	Families map[rig.Family]Traits
	// Seed is the first one. Each schedule has a seed of its own, one after the other.
	Seed  uint64
	Shard Shard
	// Schedules is how many are played at the most; 0 means as many as fit before
	// Until. One of the two must be set.
	Schedules int
	Until     time.Time
	// AtOnce is how many at a time; 0 means two for each processor.
	AtOnce int
	// First ends the search at the first failure.
	First bool
	// Short makes the first failure of each kind as short as it can be.
	Short bool
	// Without are verbs that are left out.
	Without []Verb
	// Progress is told how far the search has come, after each schedule and one call
	// at a time; nil is nobody.
	Progress func(Report)
}

// Report is what a search has found.
type Report struct {
	Schedules int // that were played to their end, without those of shrinking
	Actions   int // that did something
	Failures  int // schedules that failed
	Broken    int // schedules of which nothing is known, because the rig met an error
	// Found is after how many schedules the first failure came; 0 means that there was none.
	Found int
	// Stories are the first failure of each kind, in the order in which they were found.
	Stories []Story
	// Errors are those of the rig, the first ones.
	Errors []string
}

// kept is how many stories and errors a report keeps.
const kept = 20

// Families returns the budget's families in order.
func (s Search) families() []rig.Family {
	var all []rig.Family
	for _, family := range rig.Families {
		if _, listens := s.Families[family]; listens {
			all = append(all, family)
		}
	}
	return all
}

// Budget is what the schedules of the search are made of.
func (s Search) Budget() Budget {
	families := s.families()
	budget := s.Families[families[0]].Budget(s.Subject, families...)
	budget.Without = s.Without
	for _, traits := range s.Families {
		budget.Forks = budget.Forks && traits.Forks
		if traits.AtOnce > 0 {
			budget.Together = traits.AtOnce + 1
		}
	}
	return budget
}

// Run searches until it is over, and returns what it found. It does not fail tb.
func (s Search) Run(tb rig.TB) Report {
	tb.Helper()
	r := running{Search: s, tb: tb, budget: s.Budget(), causes: map[string]bool{}}
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

type running struct {
	Search
	tb     rig.TB
	budget Budget

	mu     sync.Mutex
	handed int // schedules handed out
	stop   int // the number of the schedule that failed, from 1
	report Report
	causes map[string]bool // kinds of failures of which there is a story
}

// next returns the number of the next schedule, from 0.
func (r *running) next() (n int, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.Schedules > 0 && r.handed >= r.Schedules:
		return 0, false
	case !r.Until.IsZero() && time.Now().After(r.Until):
		return 0, false
	case r.Schedules == 0 && r.Until.IsZero():
		return 0, false
	case r.stop > 0 && r.handed >= r.stop:
		return 0, false
	}
	r.handed++
	return r.handed - 1, true
}

// play plays the n-th schedule and enters what came of it.
func (r *running) play(n int) {
	seed := r.Shard.Seed(r.Seed, n)
	schedule := r.budget.Make(seed)
	outcome := Play(r.tb, r.Subject, r.Families[schedule.Family], schedule, false)
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
		if len(r.report.Errors) < kept {
			r.report.Errors = append(r.report.Errors, fmt.Sprintf("seed %d: %s: %s %s\n%v", seed, outcome.Verdict, outcome.Observed, outcome.Cause, schedule))
		}
	}
	if r.Progress != nil {
		r.Progress(r.report)
	}
}

// failed enters a failure. The caller holds the lock; others go on while the story
// is made short.
func (r *running) failed(n int, seed uint64, schedule Schedule, outcome Outcome) {
	r.report.Failures++
	if r.report.Found == 0 || n+1 < r.report.Found {
		r.report.Found = n + 1
	}
	if r.First && (r.stop == 0 || n+1 < r.stop) {
		r.stop = n + 1
	}
	if r.causes[outcome.Cause] || len(r.report.Stories) >= kept {
		return
	}
	r.causes[outcome.Cause] = true
	story := Story{Seed: seed, Subject: r.Subject, AtOnce: r.Families[schedule.Family].AtOnce, Schedule: schedule,
		Observed: outcome.Observed, Cause: outcome.Cause, Evidence: outcome.Evidence}
	if r.Short {
		r.mu.Unlock()
		story = story.Shortened(r.tb, r.Families)
		r.mu.Lock()
		if story.Cause != outcome.Cause && r.causes[story.Cause] {
			return // it came down to one that is told already
		}
		r.causes[story.Cause] = true
	}
	r.report.Stories = append(r.report.Stories, story)
}

// repetitions is how often a failure is repeated to see whether it comes again.
const repetitions = 3

// Shortened returns the story as short as it can be, and says in it how often it
// failed again, in whatever way. One that does not fail again stays as it is.
func (s Story) Shortened(tb rig.TB, families map[rig.Family]Traits) Story {
	tb.Helper()
	traits := func(schedule Schedule) Traits {
		if t, known := families[schedule.Family]; known {
			return t
		}
		return families[s.Schedule.Family]
	}
	// Any failure counts: one mistake shows in several ways, depending on what comes first.
	play := func(schedule Schedule, hasty bool) (Outcome, bool) {
		outcome := Play(tb, s.Subject, traits(schedule), schedule, hasty)
		return outcome, outcome.Failed()
	}
	again := s.repeated(play)
	if again.Failed == 0 {
		return again
	}
	// What is tried is given up early, so that it does not take long. Which of the
	// suspicions are right is found out in patience, the shortest first.
	suspects := []Schedule{s.Schedule}
	outcome, _ := play(s.Schedule, true)
	Shrink(s.Schedule, outcome, func(candidate Schedule) (Outcome, bool) {
		if _, known := families[candidate.Family]; !known {
			return Outcome{}, false
		}
		outcome, failed := play(candidate, true)
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
		shorter = shorter.repeated(play)
		if 2*shorter.Failed > repetitions {
			return shorter
		}
		if shorter.Failed > best.Failed {
			best = shorter // a longer one may fail more often than a shorter one
		}
	}
	return best
}

// repeated plays the story again, side by side, and notes how often it fails.
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
			s.Observed, s.Cause, s.Evidence = outcome.Observed, outcome.Cause, outcome.Evidence
		}
	}
	return s
}
