// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
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

// usualParallel is the default of [Trial.Parallel].
func usualParallel() int {
	slow := float64(rig.Scaled(time.Second)) / float64(2*time.Second)
	return max(2, int(12*float64(runtime.GOMAXPROCS(0))/max(1, slow)))
}

// Trial is a subject that is judged by checks, each in each address family, side by
// side. Its zero value lacks a subject and checks.
type Trial struct {
	Subject  Subject
	Checks   []Check
	Families []rig.Family // none means all of them
	// Parallel is how many checks run at a time; 0 means twelve for each
	// processor, because a check waits more than it computes, and fewer on a machine that is more
	// than twice as slow as the reference machine, such as an emulated one.
	Parallel int
	// Reproduce returns the command that repeats one check; nil leaves it out.
	Reproduce func(Check, rig.Family) string
	// Found is called before the checks with what was found out about the subject, and with what
	// keeps most checks from judging; it may be nil.
	Found func(Profile, []scorecard.Cause)
	// Tell is called with what happens, from one goroutine at a time; it may be nil.
	Tell func(Event)
	// Journal has Tell called with the events of all journals, too.
	Journal bool
	// Record begins to record each lab of a check and of the preliminary trial; nil records none.
	Record Record

	deadline, leaving time.Duration // of each run
}

// Record begins to record a lab that has its hosts. It may be called from several goroutines.
type Record func(*rig.Lab) Keep

// Keep ends the recording of a lab, which has ended, and returns the name of the file in which it
// is kept, "" where it is not. label says of what it is, such as "reap IPv4"; the result is what came of it.
type Keep func(label string, result scorecard.Result) (name string)

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

// size returns how many results [Trial.Run] returns.
func (t Trial) size() int { return len(t.Checks) * len(t.families()) }

// Unbegun returns the results of a trial that has not begun: all are broken for this
// reason.
func (t Trial) Unbegun(reason string) []scorecard.Result {
	var results []scorecard.Result
	for _, check := range t.Checks {
		for _, family := range t.families() {
			results = append(results, scorecard.Result{Name: check.Name, Family: family.String(), Expected: check.Meaning,
				Verdict: scorecard.Broken, Unjudged: true, Reason: reason, Reproduce: t.reproduce(check, family)})
		}
	}
	return results
}

// Run judges the subject and returns a result for each check and family, in that order, and
// the causes of what failed. A preliminary trial precedes the checks, in each family and in a lab
// of its own, in which nothing is done to the subject; where it fails, the checks that are not
// about that are skipped. When the context of tb ends, the checks that go on end soon and say that nothing was
// judged, and the others do not begin; the cause of the context, an [EndedError],
// says why. It does not fail tb. The error is [ErrUnreachable] where the subject listens
// in none of the families; it wraps a [WrongServiceError] where it answers as another service.
func (t Trial) Run(tb rig.TB) ([]scorecard.Result, []scorecard.Cause, error) {
	tb.Helper()
	profile, found := preliminaries(tb, t.Subject, t.families(), true, t.Record)
	t.Subject = profile.Apply(t.Subject)
	if err := t.Subject.Check(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	absent := 0
	overcrowded := false // a subject that the rig had to end fails: see notServed
	var known []scorecard.Cause
	parallel := cmp.Or(t.Parallel, usualParallel())
	for _, family := range t.families() {
		p := found[family]
		if p.absent != nil {
			absent++
			overcrowded = overcrowded || errors.Is(p.absent, errOvercrowded)
		}
		if p.cause != nil {
			known = enterCause(known, *p.cause, family, len(t.Checks)-len(t.judging(p.cause.Stimulus)))
		}
		if p.serial {
			parallel = 1
		}
	}
	if absent == len(t.families()) && !overcrowded && tb.Context().Err() == nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, found[t.families()[0]].absent)
	}
	var mu sync.Mutex
	tell := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if t.Tell != nil {
			t.Tell(e)
		}
	}
	if t.Found != nil && absent < len(t.families()) && tb.Context().Err() == nil {
		t.Found(profile, known)
	}
	results := make([]scorecard.Result, t.size())
	turns := make(chan struct{}, parallel)
	var wait sync.WaitGroup
	for _, i := range t.order() {
		check := t.Checks[i]
		for f, family := range t.families() {
			run := &Run{Check: check, Family: family, deadline: t.deadline, leaving: t.leaving, record: t.Record}
			result := &results[i*len(t.families())+f]
			end := func(r scorecard.Result) {
				r.Reproduce = t.reproduce(check, family)
				*result = r
				tell(Event{Run: run, Result: &r})
			}
			p, cause := found[family], 0
			if p.absent != nil && tb.Context().Err() == nil {
				end(notServed(check, family, p.absent))
				continue
			}
			if p.cause != nil {
				cause = idOf(known, *p.cause)
				if !check.judges(p.cause.Stimulus) {
					end(scorecard.Result{Name: check.Name, Family: family.String(), Expected: check.Meaning, Verdict: scorecard.Skip,
						CauseID: cause, Reason: fmt.Sprintf("not judged: see cause %d", cause)})
					continue
				}
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
				r := run.judge(tb, t.Subject, journal)
				switch {
				case cause == 0:
				case r.Verdict == scorecard.Fail:
					r.CauseID = cause
				case r.Verdict == scorecard.Broken && tb.Context().Err() == nil: // its precondition is what fails
					r.Verdict, r.CauseID, r.Reason = scorecard.Skip, cause, fmt.Sprintf("not judged: see cause %d: %s", cause, r.Reason)
				}
				end(r)
			})
		}
	}
	wait.Wait()
	return results, scorecard.FindCauses(results, known...), nil
}

// order returns the indices of the checks in the order in which they begin: those that take long
// come first, so that none of them goes on alone at the end.
func (t Trial) order() []int {
	var long, others []int
	for i, check := range t.Checks {
		if check.Long {
			long = append(long, i)
		} else {
			others = append(others, i)
		}
	}
	return append(long, others...)
}

// judges says whether the check is about the stimulus.
func (check Check) judges(s scorecard.Stimulus) bool { return slices.Contains(check.Judges, s) }

// judging returns the checks that are about the stimulus.
func (t Trial) judging(s scorecard.Stimulus) []Check {
	return slices.DeleteFunc(slices.Clone(t.Checks), func(c Check) bool { return !c.judges(s) })
}

// enterCause adds what was found in one family to what is known.
func enterCause(known []scorecard.Cause, cause scorecard.Cause, family rig.Family, unjudged int) []scorecard.Cause {
	if id := idOf(known, cause); id > 0 {
		known[id-1].Families = append(known[id-1].Families, family.String())
		return known
	}
	cause.ID, cause.Families, cause.Unjudged = len(known)+1, []string{family.String()}, unjudged
	return append(known, cause)
}

// idOf returns the number of the same cause, 0 where there is none.
func idOf(known []scorecard.Cause, cause scorecard.Cause) int {
	return slices.IndexFunc(known, func(k scorecard.Cause) bool { return k.Text == cause.Text && k.Stimulus == cause.Stimulus }) + 1
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
		return scorecard.Result{Name: check.Name, Verdict: scorecard.Fail, Family: family.String(), Expected: check.Meaning, Remedy: reason.Error()}
	}
	lines := strings.Split(strings.TrimSpace(reason.Error()), "\n")
	line := strings.TrimSpace(lines[len(lines)-1]) // what it wrote last, or else the error
	return scorecard.Result{Name: check.Name, Verdict: scorecard.Skip, Family: family.String(), Expected: check.Meaning,
		Reason: fmt.Sprintf("%s%v: %s", scorecard.NotServed, family, line)}
}
