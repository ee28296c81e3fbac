// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// echoing is the small server as a subject.
func echoing() Subject {
	return Subject{Command: rig.Program("echo", "{ip}:{port}").Args, Service: dialogue.MustResolve("echo")}
}

// visits is a check that passes.
var visits = Check{Name: "visits", Meaning: "a client is served", Run: func(c *Case) {
	s := c.Start("")
	c.MustServe(c.Visit(0))
	s.MustSurvive("a client", "it serves no second client")
	c.Note("%d processes", len(s.Own))
}}

// waitsForever is a check that waits for what never comes.
var waitsForever = Check{Name: "waits-forever", Meaning: "a comet is seen", Run: func(c *Case) {
	c.Start("")
	c.Must(rig.Await(c.Context(), "a comet", func() (bool, string, error) { return false, "a star", nil }))
}}

// byName returns the results by the names of the checks.
func byName(results []scorecard.Result) map[string]scorecard.Result {
	all := map[string]scorecard.Result{}
	for _, r := range results {
		all[r.Name] = r
	}
	return all
}

func TestTrialReturnsAVerdictForEachCheck(t *testing.T) {
	fails := Check{Name: "fails", Meaning: "m", Run: func(c *Case) { c.Start(""); c.Fail("the cause", "seen %d", 1) }}
	skips := Check{Name: "skips", Meaning: "m", Run: func(c *Case) { c.Skip("it has no %s", "moon") }}
	breaks := Check{Name: "breaks", Meaning: "m", Run: func(c *Case) { c.Must(errors.New("the rig met an error")) }}
	panics := Check{Name: "panics", Meaning: "m", Run: func(c *Case) { panic("ouch") }}
	lacks := Check{Name: "lacks", Meaning: "m", Run: func(c *Case) {
		c.Must(&rig.MissingError{Feature: "flux-capacitor", Remedy: "buy one"})
	}}
	var began, ended atomic.Int32
	trial := Trial{Subject: echoing(), Families: []rig.Family{rig.IPv4}, Checks: []Check{visits, fails, skips, breaks, panics, lacks},
		Reproduce: func(check Check, family rig.Family) string { return check.Name + " " + family.String() },
		Tell: func(e Event) {
			if e.Result != nil {
				ended.Add(1)
			} else if e.Journal == nil {
				began.Add(1)
			}
		}}
	t.Setenv(rig.RequireEnv, "")
	results, _, err := trial.Run(t)
	require.NoError(t, err)
	require.Len(t, results, trial.size())
	assert.EqualValues(t, trial.size(), began.Load())
	assert.EqualValues(t, trial.size(), ended.Load())
	for i, check := range trial.Checks {
		assert.Equal(t, check.Name, results[i].Name, "the order is that of the checks")
		assert.Equal(t, check.Name+" IPv4", results[i].Reproduce)
		assert.False(t, results[i].Unjudged, check.Name)
	}
	all := byName(results)
	assert.Equal(t, scorecard.Pass, all["visits"].Verdict, "%+v", all["visits"])
	assert.Equal(t, "1 processes", all["visits"].Observed)
	assert.Equal(t, scorecard.Fail, all["fails"].Verdict)
	assert.Equal(t, "seen 1", all["fails"].Observed)
	assert.Equal(t, "the cause", all["fails"].Remedy)
	assert.NotEmpty(t, all["fails"].Evidence)
	assert.Equal(t, scorecard.Skip, all["skips"].Verdict)
	assert.Equal(t, "it has no moon", all["skips"].Reason)
	assert.Equal(t, scorecard.Broken, all["breaks"].Verdict)
	assert.Equal(t, "the rig met an error", all["breaks"].Reason)
	assert.Equal(t, scorecard.Broken, all["panics"].Verdict)
	assert.Contains(t, all["panics"].Reason, "ouch")
	assert.Equal(t, scorecard.Skip, all["lacks"].Verdict)
	assert.Equal(t, "flux-capacitor", all["lacks"].Missing)
}

// TestCheckThatPassesItsDeadline is broken, says what it waited for, and leaves the rest of
// the card alone.
func TestCheckThatPassesItsDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var left *Run
	defer func() {
		close(release)
		<-left.ended // or its lab outlives the test
	}()
	stuck := Check{Name: "stuck", Meaning: "m", Run: func(c *Case) { <-release }} // it does not look at its context
	trial := Trial{Subject: echoing(), Families: []rig.Family{rig.IPv4}, Checks: []Check{waitsForever, stuck, visits},
		deadline: rig.Scaled(10 * time.Second), leaving: time.Second,
		Tell: func(e Event) {
			if e.Run.Check.Name == "stuck" {
				left = e.Run
			}
		}}
	results, _, err := trial.Run(t)
	require.NoError(t, err)
	all := byName(results)
	assert.Equal(t, scorecard.Pass, all["visits"].Verdict, "%+v", all["visits"])
	for _, name := range []string{"waits-forever", "stuck"} {
		assert.Equal(t, scorecard.Broken, all[name].Verdict)
		assert.True(t, all[name].Unjudged)
		assert.Equal(t, "not judged: ended by the check's own deadline of "+trial.deadline.String(), all[name].Reason)
	}
	assert.Contains(t, all["waits-forever"].Observed, "a comet")
	assert.Contains(t, all["waits-forever"].Observed, "a star")
}

// TestTrialThatIsEnded keeps what is known and says of the rest why it is not judged.
func TestTrialThatIsEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	known := false
	trial := Trial{Subject: echoing(), Families: []rig.Family{rig.IPv4}, Checks: []Check{visits, waitsForever, visits}, Parallel: 1,
		Tell: func(e Event) {
			switch {
			case e.Result != nil && e.Run.Check.Name == "visits":
				known = true
			case e.Result == nil && e.Run.Check.Name == "waits-forever":
				cancel(&EndedError{By: "SIGINT"})
			}
		}}
	var results []scorecard.Result
	var err error
	outcome := rig.Sub(ctx, t, func(tb rig.TB) { results, _, err = trial.Run(tb) })
	require.NoError(t, err)
	require.False(t, outcome.Failed, outcome.Log)
	assert.True(t, known)
	assert.Equal(t, scorecard.Pass, results[0].Verdict)
	for _, r := range results[1:] {
		assert.Equal(t, scorecard.Broken, r.Verdict)
		assert.True(t, r.Unjudged)
		assert.Equal(t, "not judged: ended by SIGINT", r.Reason)
	}
	for _, r := range trial.Unbegun("not judged: because") {
		assert.Equal(t, scorecard.Broken, r.Verdict)
		assert.Equal(t, "not judged: because", r.Reason)
	}
}

func TestSubjectThatDoesNotListen(t *testing.T) {
	t.Parallel()
	subject := Subject{Command: []string{"sh", "-c", "echo no configuration >&2; exit 3 # {port}"}, Service: dialogue.MustResolve("echo")}
	_, _, err := Trial{Subject: subject, Checks: []Check{visits}}.Run(t)
	assert.ErrorIs(t, err, ErrUnreachable)
	assert.ErrorContains(t, err, "no configuration")
}

// ExampleTrial judges a server by one check of its own.
func ExampleTrial() {
	served := Check{Name: "served", Meaning: "a client is served", Run: func(c *Case) {
		c.Start("") // breaks the check where the subject does not listen
		c.MustServe(c.Visit(0))
	}}
	trial := Trial{Subject: Subject{Command: []string{"./server", "{ip}:{port}"}, Service: dialogue.MustResolve("echo")}, Checks: []Check{served}}
	rig.Run(context.Background(), "example", func(tb rig.TB) {
		results, _, err := trial.Run(tb)
		_, _ = results, err
	})
}
