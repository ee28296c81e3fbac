// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// The exit statuses of the program.
const (
	statusRight  = 0 // everything that was judged is right
	statusWrong  = 1 // something failed or is broken, or the run was ended before its end
	statusUsage  = 2 // the command line is wrong
	statusUnable = 3 // the rig could not run, so that no check could begin
)

// Judge judges the subject that the options describe, tells out what happens, writes the
// card that was asked for as it grows, and returns the exit status. It does not fail tb.
func (o *Options) Judge(tb rig.TB, out *os.File) int {
	ctx, stop := o.bounded(tb.Context())
	defer stop()
	trial, card, err := o.prepare()
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return statusUsage
	}
	baseline, err := o.readBaseline()
	if err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: -baseline: %v\n", err)
		return statusUsage
	}
	card.Checks = trial.Unbegun("not judged: the run did not finish")
	keep := o.keeper(&card)
	if err := keep(false); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: -scorecard: %v\n", err)
		return statusUsage
	}
	screen := newScreen(out, trial.Size(), o.verbose)
	fmt.Fprintf(out, "%s\n%s\n\n", scorecard.Printable(card.Subject), card.Origin())
	began := false
	var keepErr error
	var mu sync.Mutex // guards the card and keepErr while the trial runs
	trial.Tell = func(e judge.Event) {
		if e.Result != nil {
			mu.Lock()
			began = began || !e.Run.Began.IsZero()
			enter(card.Checks, *e.Result)
			keepErr = errors.Join(keepErr, keep(false))
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
		card.EndedBy = endedBy(ctx)
		keepErr = errors.Join(keepErr, keep(false))
	})
	var results []scorecard.Result
	outcome := rig.Sub(ctx, tb, func(tb rig.TB) { results, err = trial.Run(tb) })
	screen.end()
	if !untold() {
		<-told
	}
	if outcome.Failed && err == nil {
		err = errors.New(outcome.Log)
	}
	if err != nil {
		card.EndedBy = "the subject cannot be judged"
		card.Checks = trial.Unbegun("not judged: " + scorecard.Printable(firstLine(err.Error())))
		fmt.Fprintf(os.Stderr, "forkrig: %s\n", scorecard.Printable(err.Error()))
		if err := keep(true); err != nil {
			fmt.Fprintf(os.Stderr, "forkrig: -scorecard: %v\n", err)
		}
		return statusUnable
	}
	card.Checks = results
	card.Complete = ctx.Err() == nil
	card.EndedBy = endedBy(ctx)
	if err := appendSummary(card); err != nil { // which says nothing of the subject
		fmt.Fprintf(os.Stderr, "forkrig: GITHUB_STEP_SUMMARY: %v\n", err)
	}
	if err := errors.Join(keepErr, keep(true)); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: write the scorecard: %v\n", err)
		return statusWrong
	}
	if err := o.conclude(out, card, baseline); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: %v\n", err)
		return statusWrong
	}
	switch {
	case !card.Complete && !began:
		return statusUnable
	case card.Complete && baseline != nil:
		if scorecard.Diff(*baseline, card).Worse() {
			return statusWrong
		}
		return statusRight
	case card.OK():
		return statusRight
	}
	return statusWrong
}

// endedBy says what ended the context of a run, "" where it has not ended.
func endedBy(ctx context.Context) string {
	if ended := new(judge.EndedError); errors.As(context.Cause(ctx), &ended) {
		return ended.By
	}
	return ""
}

// enter puts the result in its place.
func enter(results []scorecard.Result, r scorecard.Result) {
	for i := range results {
		if results[i].Name == r.Name && results[i].Family == r.Family {
			results[i] = r
		}
	}
}

// conclude prints what the whole run says.
func (o *Options) conclude(out *os.File, card scorecard.Card, baseline *scorecard.Card) error {
	colour := scorecard.Colour(out)
	fmt.Fprintln(out)
	if err := card.WriteTable(out, colour); err != nil {
		return err
	}
	if baseline == nil {
		return nil
	}
	fmt.Fprintf(out, "\ncompared with %s:\n", o.baseline)
	return scorecard.Diff(*baseline, card).WriteText(out, colour)
}

// prepare returns the trial that the options describe and its card.
func (o *Options) prepare() (judge.Trial, scorecard.Card, error) {
	subject, err := o.theSubject()
	if err != nil {
		return judge.Trial{}, scorecard.Card{}, err
	}
	selected, err := o.selected()
	if err != nil {
		return judge.Trial{}, scorecard.Card{}, err
	}
	families, err := o.families()
	if err != nil {
		return judge.Trial{}, scorecard.Card{}, err
	}
	seed, err := oneSeed()
	if err != nil {
		return judge.Trial{}, scorecard.Card{}, err
	}
	trial := judge.Trial{Subject: subject, Checks: selected, Families: families, Parallel: o.parallel, Journal: o.verbose,
		Reproduce: func(check judge.Check, family rig.Family) string {
			return o.repeatCommand(seed, "judge", "-checks", check.Name, "-family", fmt.Sprint(int(family)))
		}}
	card := scorecard.Card{Subject: subject.String(), Kernel: rig.Kernel(), Seed: seed,
		Machine: fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH)}
	return trial, card, nil
}

// keeper returns a function that writes the card to the file that was asked for. What is
// not a regular file, such as /dev/stdout, gets the final card only.
func (o *Options) keeper(card *scorecard.Card) func(final bool) error {
	if o.card == "" {
		return func(bool) error { return nil }
	}
	name := rig.FromInvoker(o.card)
	return func(final bool) error {
		// A named pipe without a reader would block the run.
		if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
			return fmt.Errorf("%s is a named pipe: give a regular file or /dev/stdout", o.card)
		}
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() && !final {
			return nil
		}
		return scorecard.WriteFile(name, *card)
	}
}

// readBaseline reads the card to compare with, nil where there is none.
func (o *Options) readBaseline() (*scorecard.Card, error) {
	if o.baseline == "" {
		return nil, nil
	}
	card, err := readCard(rig.FromInvoker(o.baseline))
	return &card, err
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

// bounded returns a context that ends at the time limit and at the first SIGINT, SIGTERM
// or SIGHUP, with a cause that says so. A second signal ends the program at once.
func (o *Options) bounded(ctx context.Context) (bounded context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var end context.CancelFunc = func() {}
	if o.within > 0 {
		ctx, end = context.WithTimeoutCause(ctx, o.within, &judge.EndedError{By: "-within " + o.within.String()})
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case s := <-signals:
				if n > 1 {
					os.Exit(statusWrong)
				}
				fmt.Fprintf(os.Stderr, "forkrig: %s: ending the checks that run; a second signal ends the program at once\n", signalName(s))
				cancel(&judge.EndedError{By: signalName(s)})
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		end()
		cancel(nil)
	}
}

func signalName(s os.Signal) string {
	if number, ok := s.(syscall.Signal); ok {
		return rig.SignalName(number)
	}
	return s.String()
}

func firstLine(text string) string {
	for i := range len(text) {
		if text[i] == '\n' {
			return text[:i]
		}
	}
	return text
}

// since is how long ago it was, for people.
func since(began time.Time) time.Duration {
	took := time.Since(began)
	if took < 10*time.Second {
		return took.Round(100 * time.Millisecond)
	}
	return took.Round(time.Second)
}
