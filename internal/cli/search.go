// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// modestSearch is how many stories a search plays where no number was given.
const modestSearch = 25

// progressEvery is how often a soak says how far it has come.
const progressEvery = 10 * time.Second

// Setup is a way in which the server under test runs while stories are played.
type Setup struct {
	Name    string
	Subject judge.Subject
	AtOnce  int // how many clients it serves at a time; 0 means all
}

// BuiltInSetups are the ways in which the built-in server is searched.
func BuiltInSetups() []Setup {
	return []Setup{{Name: "fork", Subject: Searchable()}, {Name: "exec", Subject: Searchable("-worker", "exec")},
		Limited()}
}

// Searchable is the built-in server as a subject of the search. Its grace is not over
// before a story is, however slow the machine.
func Searchable(args ...string) judge.Subject {
	return BuiltIn(append([]string{"-grace", "1h"}, args...)...)
}

// Limited is the built-in server with every limit that it has, which is where its defects
// show.
func Limited(args ...string) Setup {
	const workers = 2
	s := Setup{Name: "limited", AtOnce: workers,
		Subject: Searchable(append([]string{"-max-workers", fmt.Sprint(workers), "-idle", "1h"}, args...)...)}
	s.Subject.OnTerm = judge.Drain
	return s
}

// Examine returns the traits of the subject in each of the families in which it listens.
// The error says why there is none. What the search leaves out is told out.
func (s Setup) Examine(tb rig.TB, out io.Writer, families ...rig.Family) (map[rig.Family]search.Traits, error) {
	tb.Helper()
	found := map[rig.Family]search.Traits{}
	var absent error
	for _, family := range families {
		traits, err := search.Examine(tb, s.Subject, family)
		if err != nil {
			absent = err
			continue
		}
		traits.AtOnce = s.AtOnce
		found[family] = traits
		if traits.NoProcessShortage != "" {
			fmt.Fprintf(out, "over %v the stories leave out the limit on processes: %s\n", family,
				scorecard.Printable(traits.NoProcessShortage))
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s", judge.ErrUnreachable, scorecard.Printable(absent.Error()))
	}
	return found, nil
}

// search plays random stories at the subject that the options describe, tells out what it
// finds, and returns the exit status. It does not fail tb.
func (o *Options) search(tb rig.TB, out *output) int {
	if o.junit != "" && o.soak == 0 {
		complain(errors.New("-junit: a search writes a card only with -soak: give -soak, too, or omit -junit"))
		return statusUsage
	}
	ctx, events, out, err := o.openEvents(tb.Context(), out)
	if err != nil {
		complain(err)
		return statusUsage
	}
	ctx, stop := o.bounded(ctx, out)
	defer stop()
	end := scorecard.RunEnd{Status: statusUnable}
	outcome := rig.Sub(ctx, tb, func(tb rig.TB) {
		var err error
		if end.Status, err = o.searchSetups(tb, out, events); err != nil {
			complain(err)
			end.Error = scorecard.Printable(err.Error())
		}
	})
	if outcome.Failed {
		say("forkrig: " + outcome.Log)
	}
	if end.Complete, end.EndedBy = ctx.Err() == nil, endedBy(ctx); !end.Complete {
		end.Status = max(end.Status, statusWrong)
	}
	end.Status = out.status(end.Status)
	return events.end(end)
}

func (o *Options) searchSetups(tb rig.TB, out *output, events *eventLog) (status int, err error) {
	progress := newProgress(out, time.Now())
	defer progress.end()
	seed := newSeed() % (search.MaxSeed + 1)
	setups := BuiltInSetups()
	if o.foreign() {
		setups = []Setup{{Name: "subject", Subject: o.judged, AtOnce: o.atOnce}}
		if o.judged.Service.IsZero() {
			progress.set("the service is being detected", 0, 0, time.Time{})
			profile, absent := judge.Reach(tb, o.judged, o.families...)
			if len(absent) == len(o.families) {
				return statusUnable, fmt.Errorf("%w: %w", judge.ErrUnreachable, absent[o.families[0]])
			}
			setups[0].Subject = profile.Apply(o.judged)
			fmt.Fprintln(progress, profile.Card().Service)
		}
	}
	events.tell(scorecard.Event{Type: scorecard.RunBegins, Run: &scorecard.RunBegin{Command: "search",
		Subject: setups[0].Subject.String(), Kernel: rig.Kernel(), Seed: seed}})
	var dir *soakDir
	if o.soak > 0 {
		dir = &soakDir{path: rig.FromInvoker(o.soakDir), further: o.furtherFiles(), setups: len(setups), ends: time.Now().Add(o.soak)}
		if err := os.MkdirAll(dir.path, 0o777); err != nil {
			return statusUsage, fmt.Errorf("-soak-dir: %w", err)
		}
		dir.card = scorecard.Card{Subject: setups[0].Subject.String(), Kernel: rig.Kernel(), Seed: seed}
		if o.part.Of > 1 {
			dir.card.Shard = o.part
		}
		fmt.Fprintf(progress, "soak for %v, shard %v, first seed %d: %s\n", o.soak, o.part, seed, dir.path)
	}
	stories := o.storyRecordings()
	if err := stories.prepare(); err != nil {
		return statusUsage, err
	}
	status = statusRight
	var found []search.Story
	for _, setup := range setups {
		report, right, err := o.searchSetup(tb, progress, events, setup, seed, dir)
		for _, story := range report.Stories {
			events.tell(scorecard.Event{Type: scorecard.StoryFails, Story: &scorecard.FailingStory{Name: setup.Name, Seed: story.Seed,
				Story: story.String(), Observed: story.Observed, Cause: story.Cause, Repeat: o.repeatStory(story)}})
		}
		switch {
		case errors.Is(err, judge.ErrUnreachable):
			return statusUnable, err
		case err != nil:
			return statusWrong, err
		case !right:
			status = statusWrong
		}
		found = append(found, report.Stories...)
	}
	if r := stories; r.directory != "" && len(found) > 0 {
		if err := r.recordStories(tb, found); err != nil {
			return statusWrong, err
		}
		fmt.Fprintf(out, "recordings: %s\n", cmp.Or(o.record, r.directory))
	}
	if dir != nil {
		dir.card.Complete, dir.card.EndedBy = tb.Context().Err() == nil, endedBy(tb.Context())
		out.annotate(dir.card)
		if err := dir.write(true); err != nil {
			return statusWrong, err
		}
	}
	return status, nil
}

// searchSetup searches one setup, and returns what was found and whether all is right. It is kept in
// the directory, which is nil where none was asked for.
func (o *Options) searchSetup(tb rig.TB, progress *Progress, events *eventLog, setup Setup, seed uint64, dir *soakDir) (
	report search.Report, right bool, err error) {
	keep, ends := func(search.Report) error { return nil }, time.Time{}
	if dir != nil {
		ends = dir.ends
	}
	progress.set(setup.Name+": the preliminary trial is running", 0, 0, ends)
	traits, err := setup.Examine(tb, progress, o.families...)
	if err != nil {
		return report, false, err
	}
	s := search.Search{Subject: setup.Subject, Families: traits, Seed: seed, Shard: o.part,
		Without: o.leftOut, Short: true}
	if dir == nil {
		s.Schedules, s.First, s.AtOnce = cmp.Or(o.schedules, modestSearch), true, 2
	} else {
		s.Until = time.Now().Add(o.soak / time.Duration(dir.setups))
		keep = dir.progress(progress, setup, traits, o.repeatStory)
	}
	show := func(report search.Report) {
		progress.set(fmt.Sprintf("%s: %s", setup.Name, played(report, s.Schedules)), report.Schedules, s.Schedules, ends)
	}
	progress.begin()
	show(search.Report{})
	last := time.Time{}
	s.Progress = func(report search.Report) {
		show(report)
		events.tell(scorecard.Event{Type: scorecard.SearchGoesOn, Search: stateOf(setup, s, report)})
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		if err := keep(report); err != nil {
			progress.out.complain(err)
		}
	}
	report = s.Run(tb)
	if err := keep(report); err != nil {
		return report, false, err
	}
	return report, tellReport(progress, setup, report, o.repeatStory), nil
}

// played says how far a search has come, of so many stories, or 0.
func played(report search.Report, of int) string {
	text := fmt.Sprintf("%d stories", report.Schedules)
	if of > 0 {
		text = fmt.Sprintf("%d of %d stories", report.Schedules, of)
	}
	return text + fmt.Sprintf(", %d failed, %d broken", report.Failures, report.Broken)
}

// stateOf is how far a search has come, as an event.
func stateOf(setup Setup, s search.Search, report search.Report) *scorecard.SearchState {
	state := &scorecard.SearchState{Name: setup.Name, Stories: report.Schedules, Of: s.Schedules, Actions: report.Actions,
		Failed: report.Failures, Broken: report.Broken}
	if !s.Until.IsZero() {
		state.LeftMS = max(time.Until(s.Until).Milliseconds(), 0)
	}
	return state
}

// storyRecordings are those of the stories that a search has found: with -record or -soak.
func (o *Options) storyRecordings() *recordings {
	r := o.recordings()
	if o.record == "" && o.soak > 0 {
		r.directory = filepath.Join(rig.FromInvoker(o.soakDir), recordingsIn)
	}
	r.from, r.replaces = r.directory, false
	return r
}

// tellReport prints what a search found, and says whether all is right.
func tellReport(out io.Writer, setup Setup, report search.Report, repeat func(search.Story) string) bool {
	for _, story := range report.Stories {
		text := fmt.Sprintf("%s: after %d stories\n%v\n", setup.Name, report.Found, story) +
			fmt.Sprintf("repeat the story in which it was found with:\n    %s\n", repeat(story))
		fmt.Fprintf(out, "%sas a Go test:\n%s\n", scorecard.Printable(text), story.GoTest("scenarios"))
	}
	for _, err := range report.Errors {
		fmt.Fprintln(out, scorecard.Printable(err))
	}
	fmt.Fprintf(out, "%s: %d stories of %d actions, %d failed, %d broken\n", setup.Name, report.Schedules,
		report.Actions, report.Failures, report.Broken)
	if report.Schedules == 0 {
		fmt.Fprintf(out, "%s: broken: no story was played\n", setup.Name)
	}
	return report.Schedules > 0 && report.Failures == 0 && report.Broken == 0
}

// repeatStory is the command that plays the story again from its seed.
func (o *Options) repeatStory(story search.Story) string {
	return o.repeatCommand(story.Seed, "search", "-schedules", "1")
}

func readStory(name string) (search.Story, error) {
	text, err := os.ReadFile(rig.FromInvoker(name))
	if err != nil {
		return search.Story{}, err
	}
	story, err := search.ParseStory(text)
	if err != nil {
		if _, notCard := scorecard.Parse(bytes.NewReader(text)); notCard == nil {
			err = errors.New("this is a scorecard and not a story: forkrig show prints it")
		}
		return story, fmt.Errorf("%s: %w", name, err)
	}
	return story, nil
}

// playing returns what plays the story again, tells out how it ends, and returns the exit status. It
// does not fail tb.
func (o *Options) playing(story search.Story) func(tb rig.TB, out *output) int {
	return func(tb rig.TB, out *output) int {
		ctx, stop := o.bounded(tb.Context(), out)
		defer stop()
		subject := story.Subject
		if o.foreign() {
			subject = o.judged
			if subject.Service.IsZero() {
				subject.Service = story.Subject.Service
			}
		}
		fmt.Fprint(out, scorecard.Printable(fmt.Sprintf("%s\n%v", subject, story.Schedule)))
		recorded := o.recordings()
		if err := recorded.prepare(); err != nil {
			complain(err)
			return statusUsage
		}
		outcome := rig.Sub(ctx, tb, func(tb rig.TB) {
			search.ReplayRecorded(tb, subject, story.AtOnce, story.Schedule, recorded.as(strings.TrimSuffix(filepath.Base(o.replay), ".json")))
		})
		if err := recorded.failed(); err != nil {
			complain(err)
			return statusWrong
		}
		fmt.Fprint(out, scorecard.Printable(outcome.Log))
		switch {
		case outcome.Failed:
			fmt.Fprintln(out, "the story fails")
		case outcome.Skipped:
			fmt.Fprintln(out, "the story was not played")
		default:
			fmt.Fprintln(out, "the story passes")
		}
		return statusOf(!outcome.Failed && !outcome.Skipped)
	}
}

// soakDir is where a soak leaves what it finds. All of it is there as soon as it is
// known, in case the soak does not come to its end.
type soakDir struct {
	path    string
	card    scorecard.Card
	further []cardFile // that get the card, too
	setups  int        // that are searched, one after the other
	ends    time.Time  // about, of the last of them
}

// progress returns what keeps, and tells, the state of the search of a setup.
func (d *soakDir) progress(out io.Writer, setup Setup, families map[rig.Family]search.Traits,
	repeat func(search.Story) string) func(search.Report) error {
	checks := d.card.Checks
	began := time.Now()
	return func(report search.Report) error {
		d.card.Checks = checks
		for _, family := range rig.Families {
			if _, listens := families[family]; !listens {
				continue
			}
			result := report.Result(family, time.Since(began), repeat)
			if d.setups > 1 {
				result.Name += "-" + setup.Name
			}
			d.card.Checks = append(d.card.Checks[:len(d.card.Checks):len(d.card.Checks)], result)
		}
		fmt.Fprintf(out, "%8v  %-8s %7d stories %8d actions %4d failed %4d broken\n",
			time.Since(began).Round(time.Second), setup.Name, report.Schedules, report.Actions, report.Failures, report.Broken)
		return d.keep(report)
	}
}

func (d *soakDir) keep(report search.Report) error {
	for _, story := range report.Stories {
		var text bytes.Buffer
		err := story.WriteJSON(&text)
		for suffix, content := range map[string]string{
			".json": text.String(), ".md": "```\n" + story.String() + "\n```\n", ".go.txt": story.GoTest("scenarios"),
		} {
			name := filepath.Join(d.path, story.Name()+suffix)
			err = errors.Join(err, os.WriteFile(name, []byte(content), 0o666))
		}
		if err != nil {
			return err
		}
	}
	return d.write(false)
}

func (d *soakDir) write(final bool) error {
	err := scorecard.WriteFile(filepath.Join(d.path, scorecard.CardFile), d.card)
	return errors.Join(err, (&keptCard{Card: d.card, files: d.further}).write(final))
}
