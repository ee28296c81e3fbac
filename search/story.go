// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Story is a schedule at which the subject failed, with all that is needed to play it
// again.
type Story struct {
	Seed     uint64 // of the schedule before it was made shorter
	Subject  judge.Subject
	AtOnce   int // see [Traits]
	Schedule Schedule
	// Observed is what the subject did, Cause why that is wrong and what to do about it,
	// and Evidence what the kernel showed and the rig did, as lines.
	Observed, Cause string
	Evidence        []string
	// Failed is how many of Repeated repetitions failed, too, in whatever way.
	Failed, Repeated int
	// From is how many actions the schedule had before it was made shorter, or 0 if it
	// was not.
	From int
}

// String returns the story in words, safe to print.
func (s Story) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "over %v", s.Schedule.Family)
	if s.From > 0 {
		fmt.Fprintf(&b, ", made shorter from %d actions", s.From)
	}
	fmt.Fprintf(&b, ":\n%v", s.Schedule)
	fmt.Fprintf(&b, "expected: %s\nobserved: %s\ncause:    %s\n", meaning, s.Observed, s.Cause)
	switch {
	case s.Repeated > 0 && s.Failed == 0:
		fmt.Fprintf(&b, "repeated: it failed once, but in 0 of %d repetitions: it depends on a race\n", s.Repeated)
	case s.Repeated > 0:
		fmt.Fprintf(&b, "repeated: it failed in %d of %d repetitions\n", s.Failed, s.Repeated)
	}
	if len(s.Evidence) > 0 {
		fmt.Fprintf(&b, "evidence:\n    %s\n", strings.Join(s.Evidence, "\n    "))
	}
	return scorecard.Printable(b.String())
}

// Name is a name for files and for the Go test.
func (s Story) Name() string { return fmt.Sprintf("story-%d", s.Seed) }

// GoTest returns a file of Go source with a test that plays the story again, for a
// package whose TestMain gives rig.Main the programs of the subject.
func (s Story) GoTest(packageName string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n\t\"testing\"\n\n\t\"forkrig/dialogue\"\n\t\"forkrig/judge\"\n\t\"forkrig/search\"\n)\n\n", packageName)
	fmt.Fprintf(&b, "// TestStory%d: %s.\n//\n", s.Seed, scorecard.Printable(strings.Join(strings.Fields(s.Observed), " ")))
	for line := range strings.Lines(s.Schedule.String()) {
		fmt.Fprintf(&b, "//\t%s", line)
	}
	fmt.Fprintf(&b, "func TestStory%d(t *testing.T) {\n\tt.Parallel()\n", s.Seed)
	fmt.Fprintf(&b, "search.Replay(t, %s, %d, %#v)\n}\n", subjectSource(s.Subject), s.AtOnce, s.Schedule)
	source, err := format.Source([]byte(b.String()))
	if err != nil {
		return b.String() // without the format
	}
	return string(source)
}

// subjectSource is the subject as Go source, without its zero fields.
func subjectSource(s judge.Subject) string {
	var b strings.Builder
	b.WriteString("judge.Subject{\nCommand: []string{")
	for i, word := range s.Command {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", word)
	}
	fmt.Fprintf(&b, "},\nService: dialogue.MustResolve(%q),\n", s.Service)
	field := func(name string, value any, zero bool) {
		if !zero {
			fmt.Fprintf(&b, "%s: %#v,\n", name, value)
		}
	}
	field("Closes", string(s.Closes), s.Closes == "")
	field("Dir", s.Dir, s.Dir == "")
	field("Port", int(s.Port), s.Port == 0)
	field("User", s.User, s.User == "")
	field("Ready", int64(s.Ready), s.Ready == 0)
	field("OnTerm", string(s.OnTerm), s.OnTerm == "")
	if len(s.StormSignals) > 0 {
		b.WriteString("StormSignals: nil,\n")
	}
	b.WriteString("}")
	text := b.String()
	if len(s.StormSignals) > 0 {
		var numbers []string
		for _, signal := range s.StormSignals {
			numbers = append(numbers, fmt.Sprint(int(signal)))
		}
		text = strings.Replace(text, "StormSignals: nil", "StormSignals: search.Signals("+strings.Join(numbers, ", ")+")", 1)
	}
	return text
}

// Signals returns the signals with these numbers: see [Story.GoTest].
func Signals(numbers ...int) []syscall.Signal {
	var all []syscall.Signal
	for _, n := range numbers {
		all = append(all, syscall.Signal(n))
	}
	return all
}

// Replay plays a schedule, and fails the test if the subject fails. atOnce is how many
// clients the subject serves at the same time; 0 means all of them. Requires what a
// lab requires: see package rig.
func Replay(tb rig.TB, subject judge.Subject, atOnce int, schedule Schedule) {
	tb.Helper()
	ReplayRecorded(tb, subject, atOnce, schedule, nil)
}

// ReplayRecorded is [Replay] with the lab recorded, unless record is nil.
func ReplayRecorded(tb rig.TB, subject judge.Subject, atOnce int, schedule Schedule, record judge.Record) {
	tb.Helper()
	if err := schedule.Check(); err != nil {
		tb.Fatalf("replay a schedule: %v", err)
	}
	if err := subject.Check(); err != nil {
		tb.Fatalf("replay a schedule: %v", err)
	}
	traits, err := Examine(tb, subject, schedule.Family)
	if err != nil {
		tb.Fatalf("replay a schedule: the subject cannot be judged: %s", scorecard.Printable(err.Error()))
	}
	traits.AtOnce = atOnce
	switch outcome := play(tb, subject, traits, schedule, manner{record: record}); outcome.Verdict {
	case scorecard.Pass:
	case scorecard.Skip:
		tb.Skip(scorecard.Printable(outcome.Reason))
	default:
		story := Story{Subject: subject, AtOnce: atOnce, Schedule: schedule, Observed: outcome.Observed, Cause: outcome.Remedy, Evidence: outcome.Evidence}
		tb.Errorf("%s %v", outcome.Verdict, story)
	}
}

// storyJSON is the format of a story's file. Seed and the fields after Schedule are for
// the reader; a replay does not use them.
type storyJSON struct {
	Seed     uint64      `json:"seed"`
	Subject  subjectJSON `json:"subject"`
	AtOnce   int         `json:"at_once,omitempty"`
	Schedule Schedule    `json:"schedule"`
	Observed string      `json:"observed"`
	Cause    string      `json:"cause"`
	Evidence []string    `json:"evidence,omitempty"`
	Failed   int         `json:"failed"`
	Repeated int         `json:"repeated"`
	From     int         `json:"from,omitempty"`
}

type subjectJSON struct {
	Command       []string     `json:"command"`
	Service       string       `json:"service"`
	Closes        judge.Side   `json:"closes,omitempty"`
	Dir           string       `json:"dir,omitempty"`
	Port          uint16       `json:"port,omitempty"`
	User          string       `json:"user,omitempty"`
	Ready         string       `json:"ready,omitempty"`
	OnTerm        judge.Policy `json:"on_term,omitempty"`
	StormSignals  []int        `json:"storm_signals,omitempty"`
	KeepsVanished bool         `json:"keeps_vanished,omitempty"` // of earlier stories, in which it changes nothing
}

// WriteJSON writes the story so that [ParseStory] reads it.
func (s Story) WriteJSON(w io.Writer) error {
	t := s.Subject
	text := storyJSON{Seed: s.Seed, AtOnce: s.AtOnce, Schedule: s.Schedule, Observed: s.Observed, Cause: s.Cause,
		Evidence: s.Evidence, Failed: s.Failed, Repeated: s.Repeated, From: s.From,
		Subject: subjectJSON{Command: t.Command, Service: t.Service.String(), Closes: t.Closes, Dir: t.Dir, Port: t.Port, User: t.User,
			OnTerm: t.OnTerm}}
	if t.Ready != 0 {
		text.Subject.Ready = t.Ready.String()
	}
	for _, signal := range t.StormSignals {
		text.Subject.StormSignals = append(text.Subject.StormSignals, int(signal))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(text); err != nil {
		return fmt.Errorf("write story: %w", err)
	}
	return nil
}

// ParseStory reads a story's file, also one of 0.1.0. An unknown field, bytes after the
// story, and an impossible schedule or subject are errors.
func ParseStory(data []byte) (Story, error) {
	var text storyJSON
	if err := parseStrictly(data, &text); err != nil {
		return Story{}, fmt.Errorf("parse story: %w", err)
	}
	t := text.Subject
	service, err := dialogue.Resolve(t.Service)
	if err != nil {
		return Story{}, fmt.Errorf("parse story: %w", err)
	}
	s := Story{Seed: text.Seed, AtOnce: text.AtOnce, Schedule: text.Schedule, Observed: text.Observed, Cause: text.Cause,
		Evidence: text.Evidence, Failed: text.Failed, Repeated: text.Repeated, From: text.From,
		Subject: judge.Subject{Command: t.Command, Service: service, Closes: t.Closes, Dir: t.Dir, Port: t.Port, User: t.User,
			OnTerm: t.OnTerm}}
	if t.Ready != "" {
		ready, err := time.ParseDuration(t.Ready)
		if err != nil {
			return Story{}, fmt.Errorf("parse story: ready: %w", err)
		}
		s.Subject.Ready = ready
	}
	for _, n := range t.StormSignals {
		if n < 1 || n > 64 || slices.Contains([]int{int(syscall.SIGKILL), int(syscall.SIGSTOP)}, n) {
			return Story{}, fmt.Errorf("parse story: storm signal %d: give signals from 1 to 64 that can be caught", n)
		}
		s.Subject.StormSignals = append(s.Subject.StormSignals, syscall.Signal(n))
	}
	if err := s.Subject.Check(); err != nil {
		return Story{}, fmt.Errorf("parse story: %w", err)
	}
	if s.AtOnce < 0 || s.AtOnce > maxConn || s.Seed > MaxSeed || min(s.Failed, s.Repeated, s.From) < 0 {
		return Story{}, errors.New("parse story: number out of range: at_once is at most 99, seed less than 2^53, none negative")
	}
	if err := s.Schedule.Check(); err != nil {
		return Story{}, fmt.Errorf("parse story: schedule: %w", err)
	}
	return s, nil
}

// Result returns the report as the result of one check in a family. reproduce returns
// the command line that plays a story again.
func (r Report) Result(family rig.Family, duration time.Duration, reproduce func(Story) string) scorecard.Result {
	result := scorecard.Result{Name: checkName, Family: family.String(), Expected: meaning, Verdict: scorecard.Pass, Duration: duration,
		Observed: fmt.Sprintf("%d stories of %d actions, %d failed", r.Schedules, r.Actions, r.Failures)}
	var stories []Story
	for _, story := range r.Stories {
		if story.Schedule.Family == family {
			stories = append(stories, story)
		}
	}
	switch {
	case len(stories) > 0:
		first := stories[0]
		result.Verdict, result.Remedy = scorecard.Fail, first.Cause
		result.Observed = first.Observed
		if len(stories) > 1 {
			result.Observed += fmt.Sprintf("; and %d other kinds of failure", len(stories)-1)
		}
		for _, story := range stories {
			result.Evidence = append(result.Evidence, strings.Split(strings.TrimSpace(story.String()), "\n")...)
		}
		result.Reproduce = reproduce(first)
	case r.Broken > 0:
		result.Verdict, result.Reason, result.Evidence = scorecard.Broken, "the rig met an error", r.Errors
	case r.Schedules == 0:
		result.Verdict, result.Reason, result.Observed = scorecard.Skip, "the time ended before the first story", ""
	}
	return result
}
