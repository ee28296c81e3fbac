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
	ctx, stop := o.bounded(tb.Context())
	defer stop()
	seed := newSeed() // that of all labs of the run
	if err := os.Setenv(rig.SeedEnv, fmt.Sprint(seed)); err != nil {
		complain(fmt.Errorf("set the seed: %w", err))
		return statusUnable
	}
	for _, names := range []string{o.checks, o.byDesign} {
		if now := checks.Renamed(names); now != "" {
			fmt.Fprintf(os.Stderr, "forkrig: %s\n", now)
		}
	}
	recorded := o.recordings()
	trial := judge.Trial{Subject: o.judged, Checks: o.selected, Families: o.families, Parallel: o.parallel,
		Journal: o.verbose, Record: recorded.record(), Reproduce: func(check judge.Check, family rig.Family) string {
			return o.repeatCommand(seed, "judge", "-checks", check.Name, "-family", fmt.Sprint(int(family)))
		}}
	kept := keptCard{name: o.card, Card: scorecard.Card{Subject: o.judged.String(), Kernel: rig.Kernel(), Seed: seed,
		Machine: fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH),
		Checks:  trial.Unbegun("not judged: the run did not finish")}}
	var baseline scorecard.Card
	if o.baseline != "" {
		var err error
		if baseline, err = scorecard.ReadFile(rig.FromInvoker(o.baseline)); err != nil {
			complain(fmt.Errorf("-baseline: %w", err))
			return statusUsage
		}
	}
	if err := kept.write(false); err != nil {
		complain(fmt.Errorf("-scorecard: %w", err))
		return statusUsage
	}
	fmt.Fprintf(out, "%s\n\n", kept.Heading())
	results, causes, began, err := o.run(ctx, tb, out, trial, &kept)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		kept.EndedBy = "the subject cannot be judged"
		kept.Checks = trial.Unbegun("not judged: " + scorecard.Printable(line))
		complain(err)
		if err := kept.write(true); err != nil {
			complain(fmt.Errorf("-scorecard: %w", err))
		}
		if wrong := new(judge.WrongServiceError); errors.As(err, &wrong) {
			return statusUsage
		}
		return statusUnable
	}
	kept.Checks, kept.Causes, kept.Complete, kept.EndedBy = results, causes, ctx.Err() == nil, endedBy(ctx)
	card := kept.Card
	if err := appendSummary(card); err != nil { // which says nothing of the subject
		complain(fmt.Errorf("GITHUB_STEP_SUMMARY: %w", err))
	}
	if err := errors.Join(recorded.failed(), kept.err, kept.write(true)); err != nil {
		complain(err)
		return statusWrong
	}
	fmt.Fprintln(out)
	style := out.style()
	style.Full = o.verbose
	out.tell(card, style, o.card)
	right := card.OK() && (!o.strict || card.Counts().Warn == 0)
	if o.baseline != "" {
		difference := scorecard.Diff(baseline, card)
		fmt.Fprintf(out, "\ncompared with %s:\n", o.baseline)
		_ = difference.WriteText(out, out.style())
		if card.Complete {
			right = !difference.Worse()
		}
	}
	if !card.Complete && !began {
		return statusUnable
	}
	return statusOf(right)
}

// run runs the trial, tells out what happens, and writes the card as it grows. began says whether
// any check began.
func (o *Options) run(ctx context.Context, tb rig.TB, out *output, trial judge.Trial, kept *keptCard) (
	results []scorecard.Result, causes []scorecard.Cause, began bool, err error) {
	screen := newScreen(out, kept.Checks, o.verbose)
	var mu sync.Mutex // guards the card and began while the trial runs
	trial.Found = func(p judge.Profile, causes []scorecard.Cause) {
		mu.Lock()
		defer mu.Unlock()
		kept.Causes = causes
		if o.foreign() {
			kept.Profile = p.Card()
			screen.say(kept.Profile.Service.String() + "\n" + strings.Join(kept.Profile.Lines(80), "\n") + "\n\n")
		}
		for _, cause := range causes {
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

// endedBy says what ended the context of a run, "" where it has not ended.
func endedBy(ctx context.Context) string {
	if ended := new(judge.EndedError); errors.As(context.Cause(ctx), &ended) {
		return ended.By
	}
	return ""
}

// A keptCard is a card with the file that was asked for, "" for none.
type keptCard struct {
	scorecard.Card
	name string
	err  error // of all updates
}

func (k *keptCard) enter(r scorecard.Result) {
	for i, old := range k.Checks {
		if old.Name == r.Name && old.Family == r.Family {
			k.Checks[i] = r
		}
	}
}

func (k *keptCard) update() { k.err = errors.Join(k.err, k.write(false)) }

// write writes the card. What is not a regular file, such as /dev/stdout, gets the final card only.
func (k *keptCard) write(final bool) error {
	if k.name == "" {
		return nil
	}
	name := rig.FromInvoker(k.name)
	// A named pipe without a reader would block the run.
	if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return fmt.Errorf("%s is a named pipe: give a regular file or /dev/stdout", k.name)
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() && !final {
		return nil
	}
	return scorecard.WriteFile(name, k.Card)
}

// appendSummary appends the card to the summary of the job, where GitHub wants one.
func appendSummary(card scorecard.Card) error {
	name := os.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(card.WriteMarkdown(file), file.Close())
}

// bounded returns a context that ends at the time limit and at the first SIGINT, SIGTERM,
// SIGHUP or SIGQUIT, with a cause that says so. A second signal ends the program at once, unless
// it comes with the first: timeout(1) and supervisors signal a process and then its group.
func (o *Options) bounded(ctx context.Context) (bounded context.Context, stop func()) {
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
			complain(fmt.Errorf("%s: ending the checks that run; a second signal ends the program at once", name))
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
