// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Trial is a subject that is judged by checks, each in each address family, side by
// side. Its zero value lacks a subject and checks.
type Trial struct {
	Subject  Subject
	Checks   []Check
	Families []rig.Family // none means all of them
	// Parallel is how many checks run at a time; 0 means five for each
	// processor, because a check waits more than it computes.
	Parallel int
	// Reproduce returns the command that repeats one check; nil leaves it out.
	Reproduce func(Check, rig.Family) string
	// Found is called with what was found out about the subject, before the checks; it may be nil.
	Found func(Profile)
	// Tell is called with what happens, from one goroutine at a time; it may be nil.
	Tell func(Event)
	// Journal has Tell called with the events of all journals, too.
	Journal bool

	deadline, leaving time.Duration // of each run
}

// Event is something that happened in a [Trial].
type Event struct {
	Run *Run
	// Result is set when the check has ended. Where the check never began, Run.Began is zero.
	Result *scorecard.Result
	// Journal is an event of the check's lab.
	Journal *rig.Event
}

// ErrUnreachable is wrapped where the subject does not listen in any family, so that no
// check can begin.
var ErrUnreachable = errors.New("the subject cannot be judged")

// Size returns how many results [Trial.Run] returns.
func (t Trial) Size() int { return len(t.Checks) * len(t.families()) }

// Unbegun returns the results of a trial that has not begun: all are broken, because of
// cause.
func (t Trial) Unbegun(cause string) []scorecard.Result {
	var results []scorecard.Result
	for _, check := range t.Checks {
		for _, family := range t.families() {
			results = append(results, scorecard.Result{Name: check.Name, Family: family.String(), Expected: check.Meaning,
				Verdict: scorecard.Broken, Unjudged: true, Cause: cause, Reproduce: t.reproduce(check, family)})
		}
	}
	return results
}

// Run judges the subject and returns a result for each check and family, in that order.
// When the context of tb ends, the checks that go on end soon and say that nothing was
// judged, and the others do not begin; the cause of the context, an [EndedError],
// says why. It does not fail tb. The error is [ErrUnreachable] where the subject listens
// in none of the families; it wraps a [WrongServiceError] where it answers as another service.
func (t Trial) Run(tb rig.TB) ([]scorecard.Result, error) {
	tb.Helper()
	profile, absent := Reach(tb, t.Subject, t.families()...)
	t.Subject = profile.Apply(t.Subject)
	if err := t.Subject.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	// A subject that the rig had to end fails: see notServed.
	overcrowded := slices.ContainsFunc(t.families(), func(f rig.Family) bool { return errors.Is(absent[f], errOvercrowded) })
	if len(absent) == len(t.families()) && !overcrowded && tb.Context().Err() == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, absent[t.families()[0]])
	}
	var mu sync.Mutex
	tell := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if t.Tell != nil {
			t.Tell(e)
		}
	}
	if t.Found != nil && len(absent) < len(t.families()) {
		t.Found(profile)
	}
	results := make([]scorecard.Result, t.Size())
	parallel := t.Parallel
	if parallel <= 0 {
		parallel = 5 * runtime.GOMAXPROCS(0)
	}
	turns := make(chan struct{}, parallel)
	var wait sync.WaitGroup
	for i, check := range t.Checks {
		for f, family := range t.families() {
			run := &Run{Check: check, Family: family, deadline: t.deadline, leaving: t.leaving}
			result := &results[i*len(t.families())+f]
			end := func(r scorecard.Result) {
				r.Reproduce = t.reproduce(check, family)
				*result = r
				tell(Event{Run: run, Result: &r})
			}
			if reason, skip := absent[family]; skip && tb.Context().Err() == nil {
				end(notServed(check, family, reason))
				continue
			}
			turns <- struct{}{}
			if tb.Context().Err() != nil {
				<-turns
				unbegun := scorecard.Result{Name: check.Name, Family: family.String(), Expected: check.Meaning}
				notJudged(&unbegun, context.Cause(tb.Context()))
				end(unbegun)
				continue
			}
			wait.Go(func() {
				defer func() { <-turns }()
				run.Began = time.Now()
				tell(Event{Run: run})
				var journal func(rig.Event)
				if t.Journal {
					journal = func(e rig.Event) { tell(Event{Run: run, Journal: &e}) }
				}
				end(run.judge(tb, t.Subject, journal))
			})
		}
	}
	wait.Wait()
	return results, nil
}

func (t Trial) families() []rig.Family {
	if len(t.Families) == 0 {
		return rig.Families[:]
	}
	return t.Families
}

func (t Trial) reproduce(check Check, family rig.Family) string {
	if t.Reproduce == nil {
		return ""
	}
	return t.Reproduce(check, family)
}

// notServed is the result of a check in a family in which the subject does not listen. One
// that the rig had to end fails.
func notServed(check Check, family rig.Family, reason error) scorecard.Result {
	if errors.Is(reason, errOvercrowded) {
		return scorecard.Result{Name: check.Name, Verdict: scorecard.Fail, Family: family.String(), Expected: check.Meaning, Cause: reason.Error()}
	}
	lines := strings.Split(strings.TrimSpace(reason.Error()), "\n")
	line := strings.TrimSpace(lines[len(lines)-1]) // what it wrote last, or else the error
	return scorecard.Result{Name: check.Name, Verdict: scorecard.Skip, Family: family.String(), Expected: check.Meaning,
		Cause: fmt.Sprintf("the subject does not serve %v: %s", family, line)}
}
