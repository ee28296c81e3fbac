package scenarios

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/rig"
	"forkrig/scorecard"
	"forkrig/search"
)

// searched is a way in which the server under test runs while stories are told.
type searched struct {
	name    string
	subject checks.Subject
	atOnce  int // how many clients it serves at a time; 0 is all
}

// toSearch are the ways in which the subject runs, or the built-in server.
func toSearch(tb testing.TB) []searched {
	tb.Helper()
	subject, _, err := order()
	require.NoError(tb, err)
	if *subjectFlag != "" {
		return []searched{{name: "subject", subject: subject, atOnce: *atOnceFlag}}
	}
	return []searched{
		{name: "fork", subject: searchable()},
		{name: "exec", subject: searchable("-worker", "exec")},
		limitedServer(),
	}
}

// searchable is the built-in server as a subject of the search. Its grace is not
// over before a story is, however slow the machine.
func searchable(args ...string) checks.Subject {
	return builtIn(append([]string{"-grace", "1h"}, args...)...)
}

// limitedServer is the built-in server with every limit that it has, which is
// where its defects show.
func limitedServer(args ...string) searched {
	const workers = 2
	s := searched{name: "limited", atOnce: workers,
		subject: searchable(append([]string{"-max-workers", fmt.Sprint(workers), "-idle", "1h"}, args...)...)}
	s.subject.OnTerm = checks.Drain
	return s
}

// examined returns the traits of the subject in each family in which it listens.
func (s searched) examined(tb testing.TB, families ...rig.Family) map[rig.Family]search.Traits {
	tb.Helper()
	found := map[rig.Family]search.Traits{}
	var absent error
	for _, family := range families {
		traits, err := search.Examine(tb, s.subject, family)
		if err != nil {
			absent = err
			continue
		}
		traits.AtOnce = s.atOnce
		found[family] = traits
	}
	for family, traits := range found {
		if traits.NoProcessShortage != "" {
			fmt.Fprintf(rig.Announce(), "over %v no story runs out of processes: %s\n", family, scorecard.Printable(traits.NoProcessShortage))
		}
	}
	if len(found) == 0 {
		tb.Fatalf("the subject cannot be judged: %s", scorecard.Printable(absent.Error()))
	}
	return found
}

// TestSearch tells random stories and looks for one that ends badly.
func TestSearch(t *testing.T) {
	t.Parallel()
	shard, err := search.ChooseShard(*shardFlag, os.LookupEnv)
	require.NoError(t, err)
	seed, err := firstSeed()
	require.NoError(t, err)
	without, err := search.ParseVerbs(*withoutFlag)
	require.NoError(t, err)
	schedules := *schedulesFlag
	if schedules == 0 {
		schedules = modest
	}
	for _, way := range toSearch(t) {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			s := search.Search{Subject: way.subject, Families: way.examined(t, rig.Families[:]...), Seed: seed, Shard: shard,
				Schedules: schedules, Without: without, First: true, Short: true, AtOnce: 2}
			tellReport(t, way, s.Run(t))
		})
	}
}

// modest is how many stories the ordinary run tells of each way to run.
const modest = 25

// tellReport fails the test where a story failed.
func tellReport(t *testing.T, way searched, report search.Report) {
	t.Helper()
	for _, story := range report.Stories {
		t.Errorf("after %d stories\n%v\nrepeat the story that it was found in with:\n    %s\nrepeat this one with:\n%s",
			report.Found, story, repeatStory(way, story), story.GoTest("scenarios"))
	}
	for _, err := range report.Errors {
		t.Error(scorecard.Printable(err))
	}
	summary := fmt.Sprintf("%d stories of %d actions, %d failed", report.Schedules, report.Actions, report.Failures)
	t.Log(summary)
	if asked() || *soakFlag > 0 || *schedulesFlag > 0 {
		fmt.Fprintf(rig.Announce(), "%s: %s\n", way.name, summary)
	}
	if report.Schedules == 0 {
		t.Error("broken: no story was told")
	}
}

// repeatStory is the command that makes the story again from its seed.
func repeatStory(way searched, story search.Story) string {
	words := []string{"go", "test", "forkrig/scenarios", "-count=1", "-run", "^TestSearch$/^" + way.name + "$", "-schedules=1"}
	for _, name := range append([]string{"without", "subject"}, subjectFlags...) {
		if value, set := given(name); set {
			words = append(words, "-"+name+"="+value)
		}
	}
	command := fmt.Sprintf("%s=%d %s", rig.SeedEnv, story.Seed, rig.Command{Args: words})
	if os.Geteuid() == 0 && !rig.Rootless() {
		return "sudo " + command
	}
	return command
}

// TestReplay plays the story of a file again.
func TestReplay(t *testing.T) {
	if *replayFlag == "" {
		t.Skip("-replay FILE asks for it")
	}
	text, err := os.ReadFile(rig.FromInvoker(*replayFlag))
	require.NoError(t, err)
	story, err := search.ParseStory(text)
	require.NoError(t, err)
	subject := story.Subject
	if *subjectFlag != "" {
		subject, _, err = order()
		require.NoError(t, err)
	}
	search.Replay(t, subject, story.AtOnce, story.Schedule)
}

// TestStoryIsShort makes a failure short and tells it in every way.
func TestStoryIsShort(t *testing.T) {
	t.Parallel()
	way := limitedServer("-defect", "count-killed")
	families := way.examined(t, rig.IPv4)
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
	outcome := search.Play(t, way.subject, families[rig.IPv4], long)
	require.True(t, outcome.Failed(), "%+v", outcome)
	story := search.Story{Seed: 7, Subject: way.subject, AtOnce: way.atOnce, Schedule: long, Observed: outcome.Observed, Cause: outcome.Cause}
	story = story.Shortened(t, families)
	assert.Positive(t, story.Failed, "repetitions that failed")
	assert.Equal(t, len(long.Actions), story.From)
	assert.Less(t, len(story.Schedule.Actions), len(long.Actions), "%v", story)
	assert.Contains(t, story.String(), "the worker of connection ")
	assert.Contains(t, story.String(), "observed: connection ")
}

// exampleStory is a story of the correct server, which ends well.
func exampleStory() search.Story {
	way := limitedServer()
	return search.Story{Seed: 12, Subject: way.subject, AtOnce: way.atOnce,
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
	assert.Equal(t, exampleStory().GoTest("scenarios"), string(file))
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
		way := limitedServer("-defect", defect)
		if defect == "" {
			way = limitedServer()
		}
		trial := rig.Try(t, func(tb testing.TB) { search.Replay(tb, way.subject, way.atOnce, schedule) })
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
	way := searched{name: "fork", subject: searchable("-defect", "exit-on-fork-failure")}
	shard := search.Shard{Index: 1, Of: 3}
	s := search.Search{Subject: way.subject, Families: way.examined(t, rig.IPv4), Seed: 100, Shard: shard, Schedules: 60, First: true, AtOnce: 2}
	report := s.Run(t)
	require.NotEmpty(t, report.Stories)
	for _, story := range report.Stories {
		assert.True(t, shard.Has(story.Seed), "seed %d", story.Seed)
		assert.GreaterOrEqual(t, story.Seed, uint64(100))
	}
}
