// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"forkrig/checks"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// The exit statuses of the program.
const (
	statusRight  = 0 // everything that was judged is right
	statusWrong  = 1 // something failed or is broken, or the run was ended before its end
	statusUsage  = 2 // the command line is wrong
	statusUnable = 3 // the rig could not run, so that no check could begin, or its output could not be written
)

// statusOf is the exit status where all that was judged is right or not.
func statusOf(right bool) int {
	if right {
		return statusRight
	}
	return statusWrong
}

// judge judges the subject that the options describe, tells out what happens, writes the
// card that was asked for as it grows, and returns the exit status. It does not fail tb.
func (o *Options) judge(tb rig.TB, out *output) int {
	if o.within == 0 {
		o.within = rig.Scaled(time.Minute)
	}
	ctx, events, out, err := o.openEvents(tb.Context(), out)
	if err != nil {
		complain(err)
		return statusUsage
	}
	ctx, stop := o.bounded(ctx, out)
	defer stop()
	card, status, err := o.judgeWithin(ctx, tb, out, events)
	end := scorecard.RunEnd{Status: out.status(status), Complete: card.Complete, EndedBy: card.EndedBy}
	if err != nil {
		complain(err)
		end.Error = scorecard.Printable(err.Error())
	}
	if len(card.Checks) > 0 {
		counts := card.Counts()
		end.Counts = &counts
	}
	return events.end(end)
}

// judgeWithin is judge until the end of ctx, with the card that came of it. The error says why
// nothing could be judged, or what could not be written.
func (o *Options) judgeWithin(ctx context.Context, tb rig.TB, out *output, events *eventLog) (card scorecard.Card, status int, err error) {
	seed := newSeed() // that of all labs of the run
	if err := os.Setenv(rig.SeedEnv, fmt.Sprint(seed)); err != nil {
		return card, statusUnable, fmt.Errorf("set the seed: %w", err)
	}
	for _, names := range []string{o.checks, o.byDesign} {
		if now := checks.Renamed(names); now != "" {
			complain(errors.New(now))
		}
	}
	recorded := o.recordings()
	if err := recorded.prepare(); err != nil {
		return card, statusUsage, err
	}
	trial := judge.Trial{Subject: o.judged, Checks: o.selected, Families: o.families, Parallel: o.parallel,
		Journal: o.verbose, Record: recorded.record(), Reproduce: func(check judge.Check, family rig.Family) string {
			return o.repeatCommand(seed, "judge", "-checks", check.Name, "-family", fmt.Sprint(int(family)))
		}}
	kept := keptCard{files: o.cardFiles(), Card: scorecard.Card{Subject: o.judged.String(), Kernel: rig.Kernel(), Seed: seed,
		Machine: fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH),
		Checks:  trial.Unbegun("not judged: the run did not finish")}}
	var baseline scorecard.Card
	if o.baseline != "" {
		if baseline, err = scorecard.ReadFile(rig.FromInvoker(o.baseline)); err != nil {
			return card, statusUsage, fmt.Errorf("-baseline: %w", err)
		}
	}
	if err := kept.write(false); err != nil {
		return card, statusUsage, err
	}
	recorded.replace()
	events.tell(scorecard.Event{Type: scorecard.RunBegins, Run: &scorecard.RunBegin{Command: "judge", Subject: kept.Subject,
		Kernel: kept.Kernel, Machine: kept.Machine, Seed: seed, Checks: len(kept.Checks)}})
	fmt.Fprintf(out, "%s\n\n", kept.Heading())
	results, causes, began, err := o.run(ctx, tb, out, trial, &kept, events)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		kept.EndedBy = "the subject cannot be judged"
		kept.Checks = trial.Unbegun("not judged: " + scorecard.Printable(line))
		status = statusUnable
		if wrong := new(judge.WrongServiceError); errors.As(err, &wrong) {
			status = statusUsage
		}
		summarize(kept.Card)
		out.annotate(kept.Card)
		return kept.Card, status, errors.Join(err, kept.write(true))
	}
	kept.Checks, kept.Causes, kept.Complete, kept.EndedBy = results, causes, ctx.Err() == nil, endedBy(ctx)
	card = kept.Card
	for _, cause := range causes {
		events.tell(scorecard.Event{Type: scorecard.CauseFound, Cause: &cause})
	}
	summarize(card)
	if err := kept.write(true); kept.err == nil {
		kept.err = err
	}
	fmt.Fprintln(out)
	style := out.style()
	style.Full = o.verbose
	out.tell(recorded.placed(card, o), style, o.card)
	if kept.err != nil {
		return card, statusUnable, kept.err
	}
	right, annotated := card.OK() && (!o.strict || card.Counts().Warn == 0), card
	if o.baseline != "" {
		difference := scorecard.Diff(baseline, card)
		fmt.Fprintf(out, "\ncompared with %s:\n", o.baseline)
		_ = difference.WriteText(out, out.style())
		if card.Complete {
			right, annotated = !difference.Worse(), difference.Worsening()
		}
	}
	if o.baseline == "" || !right {
		out.annotate(annotated)
	}
	if err := recorded.failed(); err != nil { // the card is whole without them
		if o.record != "" {
			return card, statusUnable, err
		}
		complain(err)
	}
	if !card.Complete && !began {
		return card, statusUnable, nil
	}
	return card, statusOf(right), nil
}

// run runs the trial, tells out what happens, and writes the card as it grows. began says whether
// any check began.
func (o *Options) run(ctx context.Context, tb rig.TB, out *output, trial judge.Trial, kept *keptCard, events *eventLog) (
	results []scorecard.Result, causes []scorecard.Cause, began bool, err error) {
	screen := newScreen(out, kept.Checks, o.verbose)
	var mu sync.Mutex // guards the card and began while the trial runs
	trial.Found = func(p judge.Profile, causes []scorecard.Cause) {
		mu.Lock()
		defer mu.Unlock()
		kept.Causes = causes
		profile := p.Card()
		events.tell(scorecard.Event{Type: scorecard.ProfileFound, Profile: &profile})
		if o.foreign() {
			kept.Profile = profile
			screen.say(kept.Profile.Service.String() + "\n" + strings.Join(kept.Profile.Lines(80), "\n") + "\n\n")
		}
		for _, cause := range causes {
			events.tell(scorecard.Event{Type: scorecard.CauseFound, Cause: &cause})
			screen.say(cause.String() + "\n\n")
		}
	}
	trial.Tell = func(e judge.Event) {
		if e.Result != nil {
			mu.Lock()
			began = began || !e.Run.Began.IsZero()
			kept.enter(*e.Result)
			kept.update()
			mu.Unlock()
		}
		events.tell(eventOf(e))
		screen.tell(e)
	}
	// The card says at once what ends the run, in case a second signal follows.
	told := make(chan struct{})
	untold := context.AfterFunc(ctx, func() {
		defer close(told)
		mu.Lock()
		defer mu.Unlock()
		kept.EndedBy = endedBy(ctx)
		kept.update()
	})
	outcome := rig.Sub(ctx, tb, func(tb rig.TB) { results, causes, err = trial.Run(tb) })
	screen.end()
	if !untold() {
		<-told
	}
	if outcome.Failed && err == nil {
		err = errors.New(outcome.Log)
	}
	return results, causes, began, err
}

// eventOf is the event of a trial as it is written.
func eventOf(e judge.Event) scorecard.Event {
	name := &scorecard.CheckName{Name: e.Run.Check.Name, Family: e.Run.Family.String()}
	switch {
	case e.Journal != nil:
		at := float64(e.Journal.At.Microseconds()) / 1000
		return scorecard.Event{Type: scorecard.JournalSays, Check: name,
			Journal: &scorecard.JournalEvent{At: at, Who: e.Journal.Who, What: e.Journal.What}}
	case e.Result != nil:
		return scorecard.Event{Type: scorecard.CheckEnds, Result: e.Result}
	}
	return scorecard.Event{Type: scorecard.CheckBegins, Check: name}
}

// endedBy says what ended the context of a run, "" where it has not ended.
func endedBy(ctx context.Context) string {
	if ended := new(judge.EndedError); errors.As(context.Cause(ctx), &ended) {
		return ended.By
	}
	return ""
}

// bounded returns a context that ends at the time limit and at the first SIGINT, SIGTERM,
// SIGHUP or SIGQUIT, with a cause that says so. A second signal ends the program at once, unless
// it comes with the first: timeout(1) and supervisors signal a process and then its group. A signal is
// told where out is read.
func (o *Options) bounded(ctx context.Context, out *output) (bounded context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var end context.CancelFunc = func() {}
	if o.within > 0 {
		ctx, end = context.WithTimeoutCause(ctx, o.within, &judge.EndedError{By: "-within " + o.within.String()})
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		var first time.Time
		for s := range signals {
			switch {
			case first.IsZero():
				first = time.Now()
			case time.Since(first) < rig.Scaled(time.Second):
				continue
			default:
				os.Exit(statusWrong)
			}
			name := rig.SignalName(s.(syscall.Signal))
			out.complain(fmt.Errorf("%s: ending the checks that run; a second signal ends the program at once", name))
			cancel(&judge.EndedError{By: name})
		}
	}()
	return ctx, func() {
		signal.Stop(signals) // nothing is sent from here on
		close(signals)
		end()
		cancel(nil)
	}
}

// since is how long ago it was, for people.
func since(began time.Time) time.Duration {
	took := time.Since(began)
	if took < 10*time.Second {
		return took.Round(100 * time.Millisecond)
	}
	return took.Round(time.Second)
}
