// SPDX-License-Identifier: Apache-2.0

package proofs

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// examined returns the traits of the subject in the families.
func examined(t *testing.T, setup cli.Setup, families ...rig.Family) map[rig.Family]search.Traits {
	t.Helper()
	found, err := setup.Examine(t, os.Stdout, families...)
	require.NoError(t, err)
	return found
}

// TestSearch plays random stories at the correct server and looks for one that ends badly.
// With -short it plays five in each of the ways in which the server runs, otherwise 25.
func TestSearch(t *testing.T) {
	t.Parallel()
	modest := fewer(25, 5)
	seed := rand.Uint64N(search.MaxSeed + 1)
	for _, setup := range cli.BuiltInSetups() {
		t.Run(setup.Name, func(t *testing.T) {
			t.Parallel()
			s := search.Search{Subject: setup.Subject, Families: examined(t, setup, rig.Families[:]...), Seed: seed,
				Schedules: modest, First: true, Short: true, AtOnce: 2}
			report := s.Run(t)
			for _, story := range report.Stories {
				t.Errorf("seed %d, after %d stories\n%v\nas a Go test:\n%s", story.Seed, report.Found, story, story.GoTest("proofs"))
			}
			assert.Empty(t, report.Errors)
			assert.Equal(t, modest, report.Schedules)
		})
	}
}

// TestStoryIsShort makes a failure short and tells it in every way.
func TestStoryIsShort(t *testing.T) {
	if testing.Short() {
		t.Skip("it plays a story some 40 times and waits in some of them until the subject is quiescent: 20 s")
	}
	t.Parallel()
	setup := cli.Limited("-defect", "count-killed")
	families := examined(t, setup, rig.IPv4)
	long := search.Schedule{Family: rig.IPv4, Actions: []search.Action{
		{Verb: search.Connect, Conn: 3, Client: 2},
		{Verb: search.Storm},
		{Verb: search.Send, Conn: 3, Bytes: 5000},
		{Verb: search.EndStorm},
		{Verb: search.KillWorker, Conn: 3},
		{Verb: search.Connect, Conn: 4, Client: 2},
		{Verb: search.Send, Conn: 4, Bytes: 40},
		{Verb: search.Connect, Conn: 5, Client: 1},
		{Verb: search.Send, Conn: 5, Bytes: 40},
		{Verb: search.Close, Conn: 4},
	}}
	outcome := search.Play(t, setup.Subject, families[rig.IPv4], long)
	require.True(t, outcome.Failed(), "%+v", outcome)
	story := search.Story{Seed: 7, Subject: setup.Subject, AtOnce: setup.AtOnce, Schedule: long, Observed: outcome.Observed, Cause: outcome.Remedy}
	story = story.Shortened(t, families)
	assert.Positive(t, story.Failed, "repetitions that failed")
	assert.Equal(t, len(long.Actions), story.From)
	assert.Less(t, len(story.Schedule.Actions), len(long.Actions), "%v", story)
	assert.Contains(t, story.String(), "the worker of connection ")
	assert.Contains(t, story.String(), "observed: connection ")
}

// exampleStory is a story of the correct server, which ends well.
func exampleStory() search.Story {
	setup := cli.Limited()
	return search.Story{Seed: 12, Subject: setup.Subject, AtOnce: setup.AtOnce,
		Observed: "an example, which does not fail",
		Schedule: search.Schedule{Family: rig.IPv4, Actions: []search.Action{
			{Verb: search.Connect, Conn: 1, Client: 2},
			{Verb: search.Connect, Conn: 2, Client: 1},
			{Verb: search.Send, Conn: 1, Bytes: 200_000},
			{Verb: search.Unplug, Client: 2},
			{Verb: search.Send, Conn: 1, Bytes: 40},
			{Verb: search.Restart},
			{Verb: search.KillWorker, Conn: 2},
		}}}
}

// TestGoTestOfAStory compares what is printed for a story with a file that
// compiles and runs: story_example_test.go.
func TestGoTestOfAStory(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("story_example_test.go")
	if os.IsNotExist(err) {
		t.Skip("the sources are not here: this binary runs somewhere else")
	}
	require.NoError(t, err)
	assert.Equal(t, exampleStory().GoTest("proofs"), string(file))
}

// TestReplayedStoryFailsAgain at a defect, and not without it.
func TestReplayedStoryFailsAgain(t *testing.T) {
	t.Parallel()
	schedule := search.Schedule{Family: rig.IPv4, Actions: []search.Action{
		{Verb: search.Connect, Conn: 1, Client: 1},
		{Verb: search.Send, Conn: 1, Bytes: 40},
		{Verb: search.KillWorker, Conn: 1},
		{Verb: search.Connect, Conn: 2, Client: 1},
		{Verb: search.Send, Conn: 2, Bytes: 40},
		{Verb: search.Connect, Conn: 3, Client: 1},
		{Verb: search.Send, Conn: 3, Bytes: 40},
	}}
	for _, defect := range []string{"", "count-killed"} {
		setup := cli.Limited("-defect", defect)
		if defect == "" {
			setup = cli.Limited()
		}
		trial := rig.Try(t, func(tb testing.TB) { search.Replay(tb, setup.Subject, setup.AtOnce, schedule) })
		assert.Equal(t, defect != "", trial.Failed, trial.Log)
		if defect != "" {
			assert.Contains(t, trial.Log, "1. client1 connects: connection 1")
			assert.Contains(t, trial.Log, "observed: connection 3 is not served")
			assert.Contains(t, trial.Log, "story")
		}
	}
}

// TestEachShardSearchesItsPart: what a shard finds is of its own seeds.
func TestEachShardSearchesItsPart(t *testing.T) {
	t.Parallel()
	setup := cli.Setup{Name: "fork", Subject: cli.Searchable("-defect", "exit-on-fork-failure")}
	shard := scorecard.Shard{Index: 1, Of: 3}
	s := search.Search{Subject: setup.Subject, Families: examined(t, setup, rig.IPv4), Seed: 100, Shard: shard, Schedules: 60, First: true, AtOnce: 2}
	report := s.Run(t)
	require.NotEmpty(t, report.Stories)
	for _, story := range report.Stories {
		assert.EqualValues(t, shard.Index, story.Seed%uint64(shard.Of), "seed %d", story.Seed)
		assert.GreaterOrEqual(t, story.Seed, uint64(100))
	}
}
