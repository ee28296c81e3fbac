// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// testdata is in the test binary, which also runs where the sources are not: on other kernels.
//
//go:embed testdata
var testdata embed.FS

var update = flag.Bool("update", false, "write testdata/schedules.golden")

// TestSameSeedSameSchedule compares schedules with those of a file: a seed means the
// same on every machine and with every version of Go. Whoever changes the generator
// runs it with -update, and chooses the seeds of the defects again.
func TestSameSeedSameSchedule(t *testing.T) {
	const golden = "testdata/schedules.golden"
	var b strings.Builder
	for _, families := range [][]rig.Family{{rig.IPv4}, {rig.IPv6}, rig.Families[:]} {
		g := generator{families: families, forks: true, maxOpen: 3}
		for n := range uint64(24) {
			seed := n
			if n >= 20 {
				seed = MaxSeed - n // large ones, too
			}
			text, err := json.Marshal(g.schedule(seed))
			require.NoError(t, err)
			fmt.Fprintf(&b, "%v %d %s\n", families, seed, text)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o666))
		return
	}
	file, err := testdata.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(file), b.String())
}

// parseSchedule reads a schedule as a part of a story.
func parseSchedule(text string) (Schedule, error) {
	story, err := ParseStory([]byte(`{"seed":1,"subject":{"command":["s","{port}"],"service":"echo","closes":"client"},"schedule":` + text +
		`,"observed":"","cause":"","failed":0,"repeated":0}`))
	return story.Schedule, err
}

// TestSchedulesAreWhatTheySay: every schedule that is made can be played, printed,
// written, and read again as JSON and as Go source.
func TestSchedulesAreWhatTheySay(t *testing.T) {
	generators := []generator{
		{families: rig.Families[:], forks: true},
		{families: []rig.Family{rig.IPv6}, closes: judge.Server, maxOpen: 2},
		{families: []rig.Family{rig.IPv4}, silent: true, closes: judge.Client},
	}
	for seed := range uint64(500) {
		for _, g := range generators {
			s := g.schedule(seed)
			require.NoError(t, s.Check(), "%v", s)
			assert.Equal(t, s, g.schedule(seed), "the same seed")
			assert.Contains(t, g.families, s.Family)
			text, err := json.Marshal(s)
			require.NoError(t, err)
			read, err := parseSchedule(string(text))
			require.NoError(t, err)
			assert.Equal(t, s, read)
			assert.Equal(t, s, evaluated(t, s.GoString()))
			assert.Len(t, strings.Split(strings.TrimSpace(s.String()), "\n"), len(s.Actions), "a line for each action")
			if g.closes != judge.Server {
				assert.LessOrEqual(t, mostOpen(s), g.openLimit())
			}
		}
	}
}

// mostOpen is how many connections are open at a time at the most, where only
// clients close them.
func mostOpen(s Schedule) int {
	most, open := 0, map[int]bool{}
	for _, a := range s.Actions {
		switch a.Verb {
		case Connect:
			open[a.Conn] = true
		case Close, Kill, Reset, KillWorker:
			delete(open, a.Conn)
		}
		most = max(most, len(open))
	}
	return most
}

// evaluated is the value of Go source as [Schedule.GoString] writes it.
func evaluated(t *testing.T, source string) Schedule {
	t.Helper()
	expression, err := parser.ParseExpr(source)
	require.NoError(t, err, source)
	literal := expression.(*ast.CompositeLit)
	var s Schedule
	for _, element := range literal.Elts {
		pair := element.(*ast.KeyValueExpr)
		switch pair.Key.(*ast.Ident).Name {
		case "Family":
			s.Family = rig.Family(whole(t, pair.Value))
		case "Actions":
			for _, action := range pair.Value.(*ast.CompositeLit).Elts {
				var a Action
				for _, field := range action.(*ast.CompositeLit).Elts {
					pair := field.(*ast.KeyValueExpr)
					switch pair.Key.(*ast.Ident).Name {
					case "Verb":
						name := pair.Value.(*ast.SelectorExpr).Sel.Name
						for a.Verb = Connect; verbs[a.Verb].code != name; a.Verb++ {
						}
					case "Conn":
						a.Conn = whole(t, pair.Value)
					case "Client":
						a.Client = whole(t, pair.Value)
					case "Bytes":
						a.Bytes = whole(t, pair.Value)
					}
				}
				s.Actions = append(s.Actions, a)
			}
		}
	}
	return s
}

func whole(t *testing.T, e ast.Expr) int {
	t.Helper()
	n, err := strconv.Atoi(e.(*ast.BasicLit).Value)
	require.NoError(t, err)
	return n
}

// TestEveryVerb has a name, a line of its own, and is drawn.
func TestEveryVerb(t *testing.T) {
	lines := map[string]bool{}
	for verb := Connect; verb < verbEnd; verb++ {
		assert.NotEmpty(t, verbs[verb].name)
		line := Action{Verb: verb, Conn: 1, Client: 1, Bytes: 1}.String()
		assert.NotContains(t, line, "verb")
		assert.False(t, lines[line], line)
		lines[line] = true
		assert.Positive(t, weights[verb], "%v is never drawn", verb)
	}
	drawn := map[Verb]int{}
	for seed := range uint64(300) {
		for _, a := range (generator{families: rig.Families[:], forks: true}).schedule(seed).Actions {
			drawn[a.Verb]++
		}
	}
	for verb := Connect; verb < verbEnd; verb++ {
		assert.Positive(t, drawn[verb], "%v", verb)
	}
	assert.Zero(t, func() (n int) {
		for seed := range uint64(300) {
			for _, a := range (generator{families: rig.Families[:]}).schedule(seed).Actions {
				if a.Verb == ExhaustProcesses {
					n++
				}
			}
		}
		return n
	}(), "a subject that starts no process runs out of processes")
}

func TestParseVerbs(t *testing.T) {
	verbs, err := ParseVerbs(" storm, exhaust-descriptors,take-processes,")
	require.NoError(t, err)
	assert.Equal(t, []Verb{Storm, ExhaustDescriptors, ExhaustProcesses}, verbs)
	_, err = ParseVerbs("strom")
	assert.ErrorContains(t, err, `unknown verb "strom": give some of send, half-close`)
	_, err = ParseVerbs("connect")
	assert.ErrorContains(t, err, "cannot be left out")
	for seed := range uint64(200) {
		for _, a := range (generator{families: rig.Families[:], forks: true, without: verbs}).schedule(seed).Actions {
			require.NotContains(t, verbs, a.Verb)
		}
	}
	for verb := Send; verb < verbEnd; verb++ { // with any other verb there is a schedule
		without := []Verb{}
		for other := Send; other < verbEnd; other++ {
			if other != verb {
				without = append(without, other)
			}
		}
		for seed := range uint64(20) {
			require.NoError(t, generator{families: rig.Families[:], forks: true, without: without}.schedule(seed).Check())
		}
	}
}

func TestImpossibleSchedulesAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		`{}`:                        "family 0",
		`{"family":4,"actions":[]}`: "0 actions",
		`{"family":5,"actions":[{"verb":"calm"}]}`:                                                "family 5",
		`{"family":4,"actions":[{"verb":"dance"}]}`:                                               `unknown verb "dance"`,
		`{"family":4,"actions":[{}]}`:                                                             "verb 0",
		`{"family":4,"actions":[{"verb":"calm","conn":1}]}`:                                       "end-storm has no conn",
		`{"family":4,"actions":[{"verb":"send","conn":1}]}`:                                       "bytes 0",
		`{"family":4,"actions":[{"verb":"send","conn":1,"bytes":2}]}`:                             "bytes 2",
		`{"family":4,"actions":[{"verb":"send","conn":100,"bytes":1}]}`:                           "conn 100",
		`{"family":4,"actions":[{"verb":"connect","conn":1,"client":3}]}`:                         "client 3",
		`{"family":4,"actions":[{"verb":"calm"}],"more":1}`:                                       "unknown field",
		`{"family":4,"actions":[{"verb":""}]}`:                                                    `unknown verb ""`,
		`{"family":4,"actions":[` + strings.Repeat(`{"verb":"calm"},`, 200) + `{"verb":"calm"}]}`: "201 actions",
	} {
		_, err := parseSchedule(text)
		assert.ErrorContains(t, err, why, text)
	}
}

func exampleStory() Story {
	return Story{Seed: 12, AtOnce: 2,
		Subject: judge.Subject{Command: []string{"forkrig:server", "-listen", "{ip}:{port}"}, Service: dialogue.MustResolve("echo"), Closes: judge.Client,
			Ready: 3 * time.Second, OnTerm: judge.Drain, StormSignals: []syscall.Signal{syscall.SIGUSR1}},
		Schedule: Schedule{Family: rig.IPv6, Actions: []Action{{Verb: Connect, Conn: 1, Client: 1}, {Verb: Send, Conn: 1, Bytes: 40}}},
		Observed: "it <failed>", Cause: "a cause", Evidence: []string{"a line"}, Failed: 2, Repeated: 3, From: 7}
}

// TestStoriesAreReadAgain as they were written.
func TestStoriesAreReadAgain(t *testing.T) {
	story := exampleStory()
	var b bytes.Buffer
	require.NoError(t, story.WriteJSON(&b))
	read, err := ParseStory(b.Bytes())
	require.NoError(t, err)
	assert.Equal(t, story, read)
	for _, wrong := range []struct{ from, to, why string }{
		{`"seed": 12`, `"seed": 9007199254740992`, "out of range"},
		{`"seed": 12`, `"sead": 12`, "unknown field"},
		{`"3s"`, `"3"`, "ready"},
		{`"drain"`, `"dance"`, "on SIGTERM"},
		{`"send"`, `"bend"`, "unknown verb"},
		{"      10\n", "      9\n", "storm signal 9"},
	} {
		text := strings.Replace(b.String(), wrong.from, wrong.to, 1)
		require.NotEqual(t, text, b.String(), wrong.from)
		_, err := ParseStory([]byte(text))
		assert.ErrorContains(t, err, wrong.why)
	}
}

// TestStoriesOfOldVersionsAreRead: the files are as 0.1.0 wrote them.
func TestStoriesOfOldVersionsAreRead(t *testing.T) {
	text, err := testdata.ReadFile("testdata/story-0.1.0.json")
	require.NoError(t, err)
	story, err := ParseStory(text)
	require.NoError(t, err)
	assert.Equal(t, Schedule{Family: rig.IPv4, Actions: []Action{{Verb: Connect, Conn: 1, Client: 1}, {Verb: KillWorker, Conn: 1},
		{Verb: Connect, Conn: 2, Client: 1}, {Verb: Connect, Conn: 3, Client: 1}, {Verb: Send, Conn: 3, Bytes: 1}}}, story.Schedule)
	assert.Equal(t, []string{"forkrig:server", "-defect", "count-killed", "-grace", "1h", "-max-workers", "2", "-idle", "1h", "-listen", "{ip}:{port}"},
		story.Subject.Command)
	assert.Equal(t, []any{uint64(5388722906028836), 2, judge.Drain, 10 * time.Second, 3, 3, 13},
		[]any{story.Seed, story.AtOnce, story.Subject.OnTerm, story.Subject.Ready, story.Failed, story.Repeated, story.From})

	text, err = testdata.ReadFile("testdata/story-every-verb-0.1.0.json")
	require.NoError(t, err)
	story, err = ParseStory(text)
	require.NoError(t, err)
	var read []Verb
	for _, a := range story.Schedule.Actions {
		read = append(read, a.Verb)
	}
	assert.Equal(t, []Verb{Connect, Connect, Send, Storm, EndStorm, Unplug, HalfClose, Plug, ExhaustDescriptors, EndShortage,
		ExhaustProcesses, EndShortage, KillWorker, Connect, Reset, Connect, Kill, Restart, Connect, Crash, Connect, Send, Close}, read)
}

// TestSearchWithoutFamilies or without an end is broken, and says why.
func TestSearchWithoutFamilies(t *testing.T) {
	some := map[rig.Family]Traits{rig.IPv4: {}}
	for _, test := range []struct {
		search Search
		why    string
	}{
		{Search{Schedules: 1}, "Families is empty"},
		{Search{Schedules: 1, Families: map[rig.Family]Traits{5: {}}}, "family 5"},
		{Search{Families: some}, "neither Schedules nor Until"},
	} {
		report := test.search.Run(t)
		require.Len(t, report.Errors, 1)
		assert.ErrorContains(t, errors.New(report.Errors[0]), test.why)
		result := report.Result(rig.IPv4, 0, nil)
		assert.Equal(t, scorecard.Broken, result.Verdict)
		assert.Equal(t, report.Errors, result.Evidence)
	}
}

// FuzzParseStory: what is read can be written and read again.
func FuzzParseStory(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, exampleStory().WriteJSON(&b))
	f.Add(b.Bytes())
	f.Add(bytes.Replace(b.Bytes(), []byte("send"), []byte("half-close"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		story, err := ParseStory(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		require.NoError(t, story.WriteJSON(&b))
		again, err := ParseStory(b.Bytes())
		require.NoError(t, err, b.String())
		require.Equal(t, story.Schedule, again.Schedule)
		require.Equal(t, story.Schedule, evaluated(t, story.Schedule.GoString()))
		_, err = parser.ParseFile(token.NewFileSet(), "story_test.go", story.GoTest("scenarios"), 0)
		require.NoError(t, err, "the Go test is Go")
		require.NotEmpty(t, story.String())
	})
}

// TestStoryInWords says how often it failed.
func TestStoryInWords(t *testing.T) {
	story := exampleStory()
	assert.Contains(t, story.String(), " 1. client1 connects: connection 1\n 2. connection 1 sends 40 bytes\n")
	assert.Contains(t, story.String(), "failed in 2 of 3 repetitions")
	story.Failed = 0
	assert.Contains(t, story.String(), "failed once, but in 0 of 3 repetitions")
}

// TestShrinkFindsTheShortest at a pretended server that fails when a worker is killed
// after descriptors ran out, and at nothing else.
func TestShrinkFindsTheShortest(t *testing.T) {
	fails := func(s Schedule) (Outcome, bool) {
		outcome := Outcome{At: len(s.Actions), Acted: make([]bool, len(s.Actions))}
		shortage, open, failed := false, map[int]bool{}, false
		for i, a := range s.Actions {
			outcome.Acted[i] = true
			switch a.Verb {
			case Connect:
				open[a.Conn] = true
			case ExhaustDescriptors:
				shortage = true
			case KillWorker:
				outcome.Acted[i] = open[a.Conn]
				if failed = shortage && open[a.Conn]; failed {
					outcome.At = i
					return outcome, true
				}
			}
		}
		return outcome, false
	}
	found := 0
	for seed := range uint64(2000) {
		s := generator{families: rig.Families[:], forks: true}.schedule(seed)
		outcome, failed := fails(s)
		if !failed {
			continue
		}
		found++
		tries := 0
		short := shrink(s, outcome, func(s Schedule) (Outcome, bool) { tries++; return fails(s) }, 1000, time.Time{})
		require.Len(t, short.Actions, 3, "from %v to %v", s, short)
		assert.Equal(t, rig.IPv4, short.Family)
		assert.Contains(t, short.Actions, Action{Verb: Connect, Conn: 1, Client: 1})
		assert.Less(t, tries, 120, "%v", s)
		kept := shrink(s, outcome, fails, 0, time.Time{})
		assert.Equal(t, s, kept, "without a try nothing changes")
	}
	assert.Greater(t, found, 20)
}

// TestShrinkKeepsWhatFails: of any schedule, the one verb that matters stays.
func TestShrinkKeepsWhatFails(t *testing.T) {
	for seed := range uint64(100) {
		s := generator{families: rig.Families[:], forks: true}.schedule(seed)
		for _, a := range s.Actions {
			fails := func(s Schedule) (Outcome, bool) {
				return Outcome{At: len(s.Actions)}, slices.ContainsFunc(s.Actions, func(other Action) bool { return other.Verb == a.Verb })
			}
			outcome, _ := fails(s)
			short := shrink(s, outcome, fails, 10_000, time.Time{})
			require.True(t, len(short.Actions) == 1 && short.Actions[0].Verb == a.Verb, "%v of %v", short, s)
		}
	}
}
