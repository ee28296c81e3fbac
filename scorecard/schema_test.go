// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/schematest"
)

// fullCard has every field of a card.
func fullCard() Card {
	counts := Counts{1, 2, 3, 4, 5, 6}
	end := End{Kind: Killed, Status: 1, Signal: "SIGPIPE", Words: "w", After: []Stimulus{ClientReset}}
	return Card{Subject: "s", Kernel: "k", Seed: math.MaxUint64, Complete: true, EndedBy: "SIGINT", Machine: "m", Shard: Shard{1, 2},
		Causes: []Cause{{ID: 1, Text: "t", End: &end, Stimulus: ClientReset, Remedy: "r", Families: []string{"IPv4"}, Checks: []string{"reap"}, Unjudged: 1, Recording: "r"}},
		Checks: []Result{{Name: "reap", Verdict: Fail, Family: "IPv4", Expected: "e", Observed: "o", Findings: []string{"ENFILE"}, Remedy: "r",
			Reason: "r", CauseID: 1, Stimuli: []Stimulus{ClientReset}, End: &end, Missing: "ipv6", Unjudged: true, Evidence: []string{"e"},
			Reproduce: "r", Recording: "r", Duration: time.Second, Runs: counts}},
		Profile: Profile{Service: Service{Given: "echo", Seen: "echo", Closes: "server"}, Model: EventLoop, Program: "p", Daemonizes: true,
			Processes: 1, Threads: 1, User: "u", SpeaksFirst: "server", Greeting: "g", ClosesFirst: "client", Clients: 1, OneInstance: true,
			Families: []string{"IPv4"}, Listeners: []Listener{{Family: "IPv6", Address: "a", Backlog: 1, TakesIPv4: true, Options: []string{"o"}, Unread: "u"}},
			Caught: []Caught{{Signal: "SIGCHLD", Restart: "yes"}}, Ignored: []string{"SIGPIPE"}, Blocked: []string{"SIGUSR1"},
			Limits: []Limit{{Resource: "RLIMIT_NOFILE", Soft: "1", Before: "unlimited"}}},
		Runs: []Run{{Shard: Shard{0, 2}, Seed: 1, Kernel: "k", Machine: "m", Incomplete: true, EndedBy: "SIGTERM"}},
	}
}

// fullEvents are events that have every field together.
func fullEvents() []Event {
	card := fullCard()
	check := &CheckName{Name: "reap", Family: "IPv4"}
	all := []Event{
		{Type: RunBegins, Run: &RunBegin{Command: "judge", Subject: "s", Kernel: "k", Machine: "m", Seed: 1, Checks: 62}},
		{Type: ProfileFound, Profile: &card.Profile}, {Type: CauseFound, Cause: &card.Causes[0]}, {Type: CheckBegins, Check: check},
		{Type: JournalSays, Check: check, Journal: &JournalEvent{At: 0.5, Who: "lab", What: "w"}}, {Type: CheckEnds, Result: &card.Checks[0]},
		{Type: SearchGoesOn, Search: &SearchState{Name: "fork", Stories: 1, Of: 2, Actions: 3, Failed: 1, Broken: 1, LeftMS: 5}},
		{Type: StoryFails, Story: &FailingStory{Name: "fork", Seed: 1, Story: "s", Observed: "o", Cause: "c", Repeat: "r"}},
		{Type: KernelGoesOn, Kernel: &KernelState{Name: "6.12", What: "is up", Done: 1, Of: 2}},
		{Type: RunEnds, End: &RunEnd{Status: 1, Complete: true, EndedBy: "SIGINT", Error: "e", Counts: &Counts{1, 2, 3, 4, 5, 6}}},
	}
	for i := range all {
		all[i].Time = time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.FixedZone("", 7200))
	}
	return all
}

// requireFull sees that a value has every field, so that a new one is in the schema, too.
func requireFull(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	require.False(t, v.IsZero(), "%s: give it a value here, and describe it in docs/schemas", name)
	switch v.Kind() {
	case reflect.Pointer:
		requireFull(t, v.Elem(), name)
	case reflect.Slice:
		requireFull(t, v.Index(0), name)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[Shard]() {
			return
		}
		for i := range v.NumField() {
			requireFull(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	}
}

func cardText(t *testing.T, card Card) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, card.WriteJSON(&b))
	return b.String()
}

func eventText(t *testing.T, e Event) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, e.Write(&b))
	require.Equal(t, 1, strings.Count(b.String(), "\n"), "one line")
	return b.String()
}

// TestCardsFitTheirSchema: what is written has no field that is not described, and none is described
// that is not written.
func TestCardsFitTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, "card.schema.json")
	for name, card := range allCards() {
		if name == "hostile" {
			card.Checks = card.Checks[:1] // the other verdict is invalid
		}
		assert.NoError(t, schema.Check(cardText(t, card)), name)
	}
	merged, err := merge(named(shard("0/2", 1, Pass, "x"), shard("1/2", 2, Fail, "y"))...)
	require.NoError(t, err)
	assert.NoError(t, schema.Check(cardText(t, merged)))
	full := fullCard()
	requireFull(t, reflect.ValueOf(full), "Card")
	text := cardText(t, full)
	assert.NoError(t, schema.Check(text))
	unwritten, err := schema.Unwritten(text)
	require.NoError(t, err)
	assert.Empty(t, unwritten)
	compact, err := json.Marshal(full)
	require.NoError(t, err)
	assert.NoError(t, schema.Check(string(compact)))
}

func TestSchemaOfCardsRefuses(t *testing.T) {
	schema := schematest.Compile(t, "card.schema.json")
	require.NoError(t, schema.Check(oneCheck))
	for _, v := range []struct{ old, new string }{
		{`"schema": 2`, `"schema": 3`}, {`"schema": 2, `, ``}, {`"seed": 1`, `"seed": -1`}, {`"seed": 1`, `"seed": 1.5`},
		{`"seed": 1`, `"seed": 18446744073709551616`}, {`"complete": true`, `"complete": "yes"`}, {`"pass"`, `"perhaps"`},
		{`"findings": []`, `"findings": null`}, {`"evidence": []`, `"evidence": [1]`}, {`0.5`, `-0.5`}, {`"subject": "s", `, ``},
		{`"kernel"`, `"Kernel"`}, {`"causes": []`, `"causes": [{"id": 0, "text": "t", "checks": []}]`},
		{`"causes": []`, `"causes": [], "shard": "half"`}, {`"findings"`, `"end": {"kind": "tired"}, "findings"`},
		{`{"schema"`, `[{"schema"`}, {`"causes": []`, `"causes": [], "later": 1`},
	} {
		wrong := strings.Replace(oneCheck, v.old, v.new, 1)
		require.NotEqual(t, oneCheck, wrong)
		assert.Error(t, schema.Check(wrong), v.new)
	}
}

func TestEventsFitTheirSchema(t *testing.T) {
	schema := schematest.Compile(t, "event.schema.json")
	var texts []string
	types := EventTypes
	for _, e := range fullEvents() {
		require.Equal(t, types[0], e.Type)
		types = types[1:]
		text := eventText(t, e)
		assert.NoError(t, schema.Check(text), text)
		texts = append(texts, text)
		for i := range reflect.ValueOf(e).NumField() {
			if field := reflect.ValueOf(e).Field(i); !field.IsZero() {
				requireFull(t, field, string(e.Type))
			}
		}
	}
	require.Empty(t, types, "events of every type are here")
	unwritten, err := schema.Unwritten(texts...)
	require.NoError(t, err)
	assert.Empty(t, unwritten)
	assert.Contains(t, texts[0], `{"schema":1,"type":"run-begins","time":"2026-01-02T01:04:05.123456Z",`)

	for _, v := range []struct{ old, new string }{
		{`"schema":1`, `"schema":2`}, {`"type":"run-begins"`, `"type":"begins"`}, {`"type":"run-begins"`, `"type":"cause"`},
		{`2026-01-02T`, `2026-01-02 `}, {`"command":"judge"`, `"command":"doctor"`}, {`"subject":"s",`, ``}, {`"checks":62`, `"checks":"62"`},
	} {
		wrong := strings.Replace(texts[0], v.old, v.new, 1)
		require.NotEqual(t, texts[0], wrong)
		assert.Error(t, schema.Check(wrong), v.new)
	}
}

// TestEventsAreOneLine of characters that do nothing to a terminal, nor to a runner of GitHub Actions.
func TestEventsAreOneLine(t *testing.T) {
	schema := schematest.Compile(t, "event.schema.json")
	for _, s := range []string{"a\nb\r\n", "\x1b[2J\x00", "\xff\xfe", "\u2028\u202e\u0085", "::error::\n##[add-mask]x"} {
		text := eventText(t, Event{Type: CheckEnds, Result: &Result{Name: s, Verdict: Pass, Observed: s, Evidence: []string{s}}})
		assert.NoError(t, schema.Check(text))
		assert.Equal(t, text, Printable(text))
		assert.NotContains(t, text, "##[")
	}
	assert.Error(t, Event{Type: CheckEnds, Result: &Result{Verdict: "odd"}}.Write(&bytes.Buffer{}))
}
