// SPDX-License-Identifier: Apache-2.0

package search

import (
	"slices"
	"time"
)

// shrink tries parts of a schedule that fails, and returns the shortest and simplest
// one that fails, too. fails plays a schedule; it is called at most tries times, and
// not after the deadline if that is not zero. The result must be confirmed afterwards.
func shrink(schedule Schedule, outcome Outcome, fails func(Schedule) (Outcome, bool), tries int, deadline time.Time) Schedule {
	s := shrinker{best: schedule, outcome: outcome, fails: fails, tries: tries, deadline: deadline, seen: map[string]bool{}}
	s.seen[key(schedule)] = true
	s.cut()
	for changed := true; changed; {
		changed = s.remove()
		changed = s.simplify() || changed
	}
	s.renumber()
	return s.best
}

type shrinker struct {
	best     Schedule
	outcome  Outcome // of best
	fails    func(Schedule) (Outcome, bool)
	tries    int
	deadline time.Time
	seen     map[string]bool
}

func key(s Schedule) string { return s.String() + s.Family.String() }

// try replaces the best schedule by the candidate if that fails, too.
func (s *shrinker) try(candidate Schedule) bool {
	if len(candidate.Actions) == 0 || candidate.Check() != nil || s.seen[key(candidate)] {
		return false
	}
	if s.tries <= 0 || !s.deadline.IsZero() && time.Now().After(s.deadline) {
		return false
	}
	s.tries--
	s.seen[key(candidate)] = true
	outcome, failed := s.fails(candidate)
	if failed {
		s.best, s.outcome = candidate, outcome
	}
	return failed
}

// cut leaves out the actions after the failure, and those that did nothing.
func (s *shrinker) cut() {
	kept := s.best
	kept.Actions = nil
	for i, action := range s.best.Actions {
		if i <= s.outcome.At && (i >= len(s.outcome.Acted) || s.outcome.Acted[i] || i == s.outcome.At) {
			kept.Actions = append(kept.Actions, action)
		}
	}
	s.try(kept)
}

// remove leaves out parts, the largest first, and says whether that changed anything.
func (s *shrinker) remove() (changed bool) {
	for size := max(len(s.best.Actions)/2, 1); size >= 1; size /= 2 {
		for from := len(s.best.Actions) - size; from >= 0; from-- {
			if from+size <= len(s.best.Actions) && s.try(s.best.without(from, from+size)) {
				changed = true
				from = min(from, len(s.best.Actions)-size+1)
			}
		}
	}
	// All actions on a connection together.
	for conn := 1; conn <= maxConn; conn++ {
		candidate := s.best
		candidate.Actions = slices.DeleteFunc(slices.Clone(s.best.Actions), func(a Action) bool { return a.Conn == conn })
		if len(candidate.Actions) < len(s.best.Actions) && s.try(candidate) {
			changed = true
		}
	}
	return changed
}

// simplify replaces single numbers and verbs by simpler ones, and says whether that
// changed anything.
func (s *shrinker) simplify() (changed bool) {
	for i := range s.best.Actions {
		for _, simpler := range simplerThan(s.best.Actions[i]) {
			candidate := s.best
			candidate.Actions = slices.Clone(s.best.Actions)
			candidate.Actions[i] = simpler
			if s.try(candidate) {
				changed = true
				break
			}
		}
	}
	if s.best.Family != 4 {
		candidate := s.best
		candidate.Family = 4
		changed = s.try(candidate) || changed
	}
	return changed
}

// simplerThan returns actions that are easier to understand, the simplest first.
func simplerThan(a Action) []Action {
	var all []Action
	change := func(f func(*Action)) {
		b := a
		f(&b)
		all = append(all, b)
	}
	if verbs[a.Verb].mayBytes && a.Bytes > 0 {
		change(func(b *Action) { b.Bytes = 0 })
	}
	for _, size := range messageSizes {
		if size < a.Bytes {
			change(func(b *Action) { b.Bytes = size })
		}
	}
	if a.Verb == Kill || a.Verb == Reset || a.Verb == HalfClose {
		change(func(b *Action) { b.Verb, b.Bytes = Close, 0 })
	}
	if a.Client > 1 {
		change(func(b *Action) { b.Client = 1 })
	}
	return all
}

// renumber gives connections the numbers 1, 2, … in the order in which they are
// opened, if the schedule still fails then.
func (s *shrinker) renumber() {
	numbers := map[int]int{}
	candidate := s.best
	candidate.Actions = slices.Clone(s.best.Actions)
	for i, a := range candidate.Actions {
		if a.Conn == 0 {
			continue
		}
		if numbers[a.Conn] == 0 {
			numbers[a.Conn] = len(numbers) + 1
		}
		candidate.Actions[i].Conn = numbers[a.Conn]
	}
	s.try(candidate)
}
