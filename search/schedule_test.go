package search

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"forkrig/judge"
	"forkrig/rig"
)

// TestSchedulesAreWhatTheySay: every schedule that is made can be played, told,
// written, and read again as JSON and as Go source.
func TestSchedulesAreWhatTheySay(t *testing.T) {
	budgets := []Budget{
		{Forks: true},
		{Service: judge.Echo, Closes: judge.Server, Together: 2, Families: []rig.Family{rig.IPv6}},
		{Service: judge.None, Closes: judge.Client},
	}
	for seed := range uint64(500) {
		for _, budget := range budgets {
			s := budget.Make(seed)
			require.NoError(t, s.Check(), "%v", s)
			assert.Equal(t, s, budget.Make(seed), "the same seed")
			assert.Contains(t, budget.families(), s.Family)
			text, err := json.Marshal(s)
			require.NoError(t, err)
			read, err := ParseSchedule(text)
			require.NoError(t, err)
			assert.Equal(t, s, read)
			assert.Equal(t, s, evaluated(t, s.GoString()))
			assert.Len(t, strings.Split(strings.TrimSpace(s.String()), "\n"), len(s.Actions), "a line for each action")
			if budget.Closes != judge.Server {
				assert.LessOrEqual(t, mostOpen(s), budget.together())
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
						a.Verb = Verb(slices.IndexFunc(verbs[:], func(v struct {
							name string
							code string
							needs
						}) bool {
							return v.code == name
						}))
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

// TestEveryVerbIsTold: each has a name, a line of its own and is drawn.
func TestEveryVerbIsTold(t *testing.T) {
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
		for _, a := range (Budget{Forks: true}).Make(seed).Actions {
			drawn[a.Verb]++
		}
	}
	for verb := Connect; verb < verbEnd; verb++ {
		assert.Positive(t, drawn[verb], "%v", verb)
	}
	assert.Zero(t, func() (n int) {
		for seed := range uint64(300) {
			for _, a := range (Budget{}).Make(seed).Actions {
				if a.Verb == TakeProcesses {
					n++
				}
			}
		}
		return n
	}(), "processes are taken from a subject that starts none")
}

func TestParseVerbs(t *testing.T) {
	verbs, err := ParseVerbs(" storm, take-files,")
	require.NoError(t, err)
	assert.Equal(t, []Verb{Storm, TakeFiles}, verbs)
	_, err = ParseVerbs("strom")
	assert.ErrorContains(t, err, `no verb "strom": they are connect, send`)
	_, err = ParseVerbs("connect")
	assert.ErrorContains(t, err, "is none")
	for seed := range uint64(200) {
		for _, a := range (Budget{Without: verbs}).Make(seed).Actions {
			require.NotContains(t, verbs, a.Verb)
		}
	}
	for verb := Send; verb < verbEnd; verb++ { // whatever is left, there is a story
		without := []Verb{}
		for other := Send; other < verbEnd; other++ {
			if other != verb {
				without = append(without, other)
			}
		}
		for seed := range uint64(20) {
			require.NoError(t, Budget{Without: without, Forks: true}.Make(seed).Check())
		}
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	for text, why := range map[string]string{
		``:                          "EOF",
		`{}`:                        "family 0",
		`{"family":4,"actions":[]}`: "0 actions",
		`{"family":5,"actions":[{"verb":"calm"}]}`:                                                "family 5",
		`{"family":4,"actions":[{"verb":"dance"}]}`:                                               `no verb "dance"`,
		`{"family":4,"actions":[{}]}`:                                                             "verb 0",
		`{"family":4,"actions":[{"verb":"calm","conn":1}]}`:                                       "calm has no conn",
		`{"family":4,"actions":[{"verb":"send","conn":1}]}`:                                       "bytes 0",
		`{"family":4,"actions":[{"verb":"send","conn":1,"bytes":2}]}`:                             "bytes 2",
		`{"family":4,"actions":[{"verb":"send","conn":100,"bytes":1}]}`:                           "conn 100",
		`{"family":4,"actions":[{"verb":"connect","conn":1,"client":3}]}`:                         "client 3",
		`{"family":4,"actions":[{"verb":"calm"}],"more":1}`:                                       "unknown field",
		`{"family":4,"actions":[{"verb":"calm"}]} {}`:                                             "something follows",
		`{"family":4,"actions":[` + strings.Repeat(`{"verb":"calm"},`, 200) + `{"verb":"calm"}]}`: "201 actions",
	} {
		_, err := ParseSchedule([]byte(text))
		assert.ErrorContains(t, err, why, text)
	}
}

// FuzzParseSchedule: what is read can be written and read again, and told.
func FuzzParseSchedule(f *testing.F) {
	for seed := range uint64(3) {
		text, err := json.Marshal(Budget{Forks: true}.Make(seed))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"family":6,"actions":[{"verb":"half-close","conn":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseSchedule(data)
		if err != nil {
			return
		}
		require.NoError(t, s.Check())
		text, err := json.Marshal(s)
		require.NoError(t, err)
		again, err := ParseSchedule(text)
		require.NoError(t, err)
		require.Equal(t, s, again)
		require.Equal(t, s, evaluated(t, s.GoString()))
		require.NotEmpty(t, s.String())
	})
}

func exampleStory() Story {
	return Story{Seed: 12, AtOnce: 2,
		Subject: judge.Subject{Command: []string{"forkrig:server", "-listen", "{ip}:{port}"}, Service: judge.Echo, Closes: judge.Client,
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
		{`{port}`, `9`, "{port}"},
		{`"send"`, `"bend"`, "no verb"},
		{"      10\n", "      9\n", "storm signal 9"},
	} {
		text := strings.Replace(b.String(), wrong.from, wrong.to, 1)
		require.NotEqual(t, text, b.String(), wrong.from)
		_, err := ParseStory([]byte(text))
		assert.ErrorContains(t, err, wrong.why)
	}
}

// FuzzParseStory: what is read can be written and read again.
func FuzzParseStory(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, exampleStory().WriteJSON(&b))
	f.Add(b.Bytes())
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
		_, err = parser.ParseFile(token.NewFileSet(), "story_test.go", story.GoTest("scenarios"), 0)
		require.NoError(t, err, "the Go test is Go")
		require.NotEmpty(t, story.String())
	})
}

// TestStoryIsTold in words that say how sure it is.
func TestStoryIsTold(t *testing.T) {
	story := exampleStory()
	assert.Contains(t, story.String(), " 1. client1 connects: connection 1\n 2. connection 1 sends 40 bytes\n")
	assert.Contains(t, story.String(), "failed in 2 of 3 repetitions")
	story.Failed = 0
	assert.Contains(t, story.String(), "failed once, and in none of 3 repetitions")
}

// TestShrinkFindsTheShortest at a pretended server that fails when a worker was
// killed after descriptors had run out, and at nothing else.
func TestShrinkFindsTheShortest(t *testing.T) {
	fails := func(s Schedule) (Outcome, bool) {
		outcome := Outcome{At: len(s.Actions), Acted: make([]bool, len(s.Actions))}
		short, open, failed := false, map[int]bool{}, false
		for i, a := range s.Actions {
			outcome.Acted[i] = true
			switch a.Verb {
			case Connect:
				open[a.Conn] = true
			case TakeFiles:
				short = true
			case KillWorker:
				outcome.Acted[i] = open[a.Conn]
				if failed = short && open[a.Conn]; failed {
					outcome.At = i
					return outcome, true
				}
			}
		}
		return outcome, false
	}
	found := 0
	for seed := range uint64(2000) {
		s := Budget{Forks: true}.Make(seed)
		outcome, failed := fails(s)
		if !failed {
			continue
		}
		found++
		tries := 0
		short := Shrink(s, outcome, func(s Schedule) (Outcome, bool) { tries++; return fails(s) }, 1000, time.Time{})
		require.Len(t, short.Actions, 3, "from %v to %v", s, short)
		assert.Equal(t, rig.IPv4, short.Family)
		assert.Contains(t, short.Actions, Action{Verb: Connect, Conn: 1, Client: 1})
		assert.Less(t, tries, 120, "%v", s)
		kept := Shrink(s, outcome, fails, 0, time.Time{})
		assert.Equal(t, s, kept, "without a try nothing changes")
	}
	assert.Greater(t, found, 20)
}

// TestShrinkKeepsWhatFails: of any schedule and any part of it that matters, the
// part stays.
func TestShrinkKeepsWhatFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Budget{Forks: true}.generator().Draw(t, "schedule")
		needed := rapid.SampledFrom(s.Actions).Draw(t, "needed").Verb
		fails := func(s Schedule) (Outcome, bool) {
			return Outcome{At: len(s.Actions)}, slices.ContainsFunc(s.Actions, func(a Action) bool { return a.Verb == needed })
		}
		outcome, _ := fails(s)
		short := Shrink(s, outcome, fails, 10_000, time.Time{})
		if len(short.Actions) != 1 || short.Actions[0].Verb != needed {
			t.Fatalf("%v of %v", short, s)
		}
	})
}
