// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"embed"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cards are shown in every form, and compared with the files in testdata.
var cards = map[string]Card{
	"empty": {Subject: "./server", Kernel: "6.12.0", Seed: 1, Complete: true},
	"right": {
		Subject: "./server --listen {address}", Kernel: "6.12.0", Seed: 7, Complete: true,
		Checks: []Result{
			{Name: "reaping", Verdict: Pass, Family: "IPv4", Observed: "200 of 200 workers reaped", Duration: 1234500 * time.Microsecond},
			{Name: "reaping", Verdict: Pass, Family: "IPv6", Observed: "200 of 200 workers reaped"},
			{Name: "eintr", Verdict: Pass, Family: "IPv4", Observed: "accept interrupted 31 times"},
			{Name: "eintr", Verdict: Pass, Family: "IPv6", Observed: "accept interrupted 47 times"},
			{Name: "dual-stack", Verdict: Pass, Family: "IPv6", Observed: "one socket serves both"},
		},
	},
	"wrong": {
		Subject: "./server --listen {address} 2>&1", Kernel: "6.12.0", Seed: 4711, Complete: true,
		Checks: []Result{
			{Name: "listens", Verdict: Pass, Family: "IPv4", Observed: "port 9999 after 12ms", Expected: "a listening socket", Duration: 12 * time.Millisecond},
			{Name: "listens", Verdict: Pass, Family: "IPv6", Observed: "port 9999 after 12ms", Expected: "a listening socket", Duration: 12 * time.Millisecond},
			{
				Name: "reaping", Verdict: Fail, Family: "IPv4",
				Expected: "the server waits for every worker (waitpid in a loop at SIGCHLD)",
				Observed: "200 zombies of 200 workers stay 2s after the last client left",
				Remedy:   "no wait after SIGCHLD", Evidence: []string{"pid 40, child of 16, zombie", "pid 41, child of 16, zombie"},
				Reproduce: "sudo judge -check reaping -family IPv4 -seed 4711 -- ./server", Duration: 3170 * time.Millisecond,
			},
			{
				Name: "reaping", Verdict: Fail, Family: "IPv6",
				Expected: "the server waits for every worker (waitpid in a loop at SIGCHLD)",
				Observed: "200 zombies of 200 workers stay 2s after the last client left",
				Remedy:   "no wait after SIGCHLD", Evidence: []string{"pid 47, child of 18, zombie"},
				Reproduce: "sudo judge -check reaping -family IPv6 -seed 4711 -- ./server", Duration: 3180 * time.Millisecond,
			},
			{Name: "reuse-addr", Verdict: Pass, Family: "IPv4", Observed: "bound during TIME_WAIT"},
			{
				Name: "reuse-addr", Verdict: Broken, Family: "IPv6", Expected: "the server binds during TIME_WAIT",
				Observed: "no TIME_WAIT on port 9999", Reason: "the precondition did not come true: the client closed first, so that TIME_WAIT is on its side and the restart proves nothing",
				Reproduce: "sudo judge -check reuse-addr -family IPv6",
			},
			{Name: "drops-privileges", Verdict: Skip, Family: "IPv4", Reason: "needs root"},
			{Name: "drops-privileges", Verdict: Skip, Family: "IPv6", Reason: "needs root"},
			{
				Name: "survives-reset", Verdict: Fail, Family: "IPv4", Expected: "the server goes on", Observed: "exit status 1",
				Remedy: "accept failed with ECONNABORTED", Evidence: []string{"the same"}, Reproduce: "judge -check survives-reset",
			},
			{
				Name: "survives-reset", Verdict: Fail, Family: "IPv6", Expected: "the server goes on", Observed: "signal: SIGPIPE",
				Remedy: "SIGPIPE is not ignored", Evidence: []string{"the same"}, Reproduce: "judge -check survives-reset",
			},
		},
	},
	"meant": {
		Subject: "./server", Kernel: "6.12.0", Seed: 5, Complete: true,
		Checks: []Result{
			{Name: "reap", Verdict: Pass, Family: "IPv4", Observed: "41 workers ended, all are reaped"},
			{
				Name: "accept-aborted", Verdict: Warn, Family: "IPv4", Expected: "an error of one connection does not end the listener",
				Observed: "the listener ends when accept fails with EPROTO", Remedy: "call accept again", Findings: []string{"EPROTO"},
			},
			{Name: "second-instance", Verdict: ByDesign, Family: "IPv4", Observed: "two instances listen on the same port", Remedy: "set only SO_REUSEADDR"},
		},
	},
	"cut-short": {
		Subject: "./server", Kernel: "6.12.0", Seed: 3, EndedBy: "SIGINT",
		Checks: []Result{
			{Name: "reap", Verdict: Pass, Family: "IPv4", Observed: "41 workers ended, all are reaped"},
			{Name: "reap", Verdict: Skip, Family: "IPv6", Reason: "this machine lacks ipv6", Missing: "ipv6"},
			{
				Name: "signal-storm", Verdict: Broken, Family: "IPv4", Expected: "every request is answered", Reason: "not judged: ended by SIGINT",
				Unjudged: true, Evidence: []string{"waited for: the answer to request 7"}, Reproduce: "forkrig judge -checks signal-storm -- ./server",
			},
			{Name: "term", Verdict: Broken, Family: "IPv4", Expected: "SIGTERM ends it", Reason: "not judged: ended by SIGINT", Unjudged: true},
		},
	},
	"hostile": {
		Subject: "./`server`` | <b>\n# not a heading", Kernel: "6.12\x1b[2J", Seed: math.MaxUint64,
		Checks: []Result{
			{
				Name: "echo|`*_", Verdict: Fail, Family: "IPv4 | <i>",
				Expected:  "a | b \\| c\n\n## no heading\n- no list",
				Observed:  "\x1b]0;title\a\x1b[31mred\x1b[0m\r\n\xff\xfe <script>alert(1)</script> & &amp; [x](y) ![x](y) `code` $a$\u202eturned\u009b2J",
				Remedy:    "\t多くの文字 \U000E0001 🦫 ``` | " + strings.Repeat("long ", 60),
				Evidence:  []string{"````", "</pre></code>", "a\tb\r\nsecond | line\n", "", "\x00\x7f\x85"},
				Reproduce: "judge -- 'a\nb' ```",
			},
			{Name: strings.Repeat("a very long name ", 10), Verdict: "odd", Family: "", Observed: "an invalid verdict"},
		},
	},
}

// testdata is in the test binary, which also runs where the sources are not: on other kernels.
//
//go:embed testdata
var testdata embed.FS

// golden compares with a file in testdata. To accept a change, write the file anew.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	want, err := testdata.ReadFile("testdata/" + name)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "differs from testdata/%s", name)
}

// maxGoldenJSON is how many results a card has whose JSON is kept.
const maxGoldenJSON = 20

func TestWriters(t *testing.T) {
	for name, card := range allCards() {
		t.Run(name, func(t *testing.T) {
			var screen, markdown, text bytes.Buffer
			require.NoError(t, card.WriteText(&screen, Style{}))
			require.NoError(t, card.WriteMarkdown(&markdown))
			golden(t, name+".txt", screen.Bytes())
			golden(t, name+".md", markdown.Bytes())

			err := card.WriteJSON(&text)
			if name == "hostile" {
				assert.EqualError(t, err, `write scorecard: check 2 ("`+card.Checks[1].Name+`"): verdict "odd" is unknown: it is pass, warn, by-design, fail, broken or skip`)
				card.Checks = card.Checks[:1:1]
				require.NoError(t, card.WriteJSON(&text))
			}
			if len(card.Checks) <= maxGoldenJSON {
				golden(t, name+".json", text.Bytes())
			}
			parsed, err := Parse(&text)
			require.NoError(t, err)
			if name != "hostile" { // bytes that are no UTF-8 do not come back
				assert.Equal(t, card, parsed)
			}
		})
	}
	var colours bytes.Buffer
	require.NoError(t, cards["meant"].WriteText(&colours, Style{Colour: true}))
	golden(t, "meant.ansi", colours.Bytes())
}

func TestOK(t *testing.T) {
	for _, v := range []struct {
		name     string
		verdicts []Verdict
		ok       bool
		counts   string
	}{
		{"nothing", nil, false, "0 pass, 0 fail, 0 broken, 0 skip"},
		{"a pass", []Verdict{Pass}, true, "1 pass, 0 fail, 0 broken, 0 skip"},
		{"a skip among passes", []Verdict{Pass, Skip, Pass}, true, "2 pass, 0 fail, 0 broken, 1 skip"},
		{"skips alone", []Verdict{Skip, Skip}, false, "0 pass, 0 fail, 0 broken, 2 skip"},
		{"a fail", []Verdict{Pass, Fail}, false, "1 pass, 1 fail, 0 broken, 0 skip"},
		{"a warning", []Verdict{Warn, Skip}, true, "0 pass, 1 warn, 0 fail, 0 broken, 1 skip"},
		{"what is meant", []Verdict{ByDesign}, true, "0 pass, 1 by-design, 0 fail, 0 broken, 0 skip"},
		{"a broken check", []Verdict{Pass, Broken}, false, "1 pass, 0 fail, 1 broken, 0 skip"},
		{"the zero value", []Verdict{Pass, ""}, false, "1 pass, 0 fail, 1 broken, 0 skip"},
	} {
		t.Run(v.name, func(t *testing.T) {
			var card Card
			for _, verdict := range v.verdicts {
				card.Checks = append(card.Checks, Result{Verdict: verdict})
			}
			assert.False(t, card.OK(), "incomplete")
			card.Complete = true
			assert.Equal(t, v.ok, card.OK())
			assert.Equal(t, v.counts, card.Counts().String())
		})
	}
}

const oneCheck = `{"schema": 2, "subject": "s", "kernel": "k", "seed": 1, "complete": true, "ended_by": "", "causes": [], "checks": [{"name": "n", "verdict": "pass", "family": "IPv4",
	"expected": "e", "observed": "o", "remedy": "", "reason": "", "evidence": [], "reproduce": "r", "findings": [], "duration_ms": 0.5}]}`

func TestParse(t *testing.T) {
	for _, v := range []struct{ name, old, new, err string }{
		{"a right card", "", "", ""},
		{"the greatest seed", `"seed": 1`, `"seed": 18446744073709551615`, ""},
		{"the greatest duration", "0.5", "9223372036854.7", ""},
		{"an unknown verdict", `"pass"`, `"perhaps"`, `check 1 ("n"): verdict "perhaps" is unknown: it is pass, warn, by-design, fail, broken or skip`},
		{"no verdict", `"pass"`, `""`, `check 1 ("n"): verdict "" is unknown: it is pass, warn, by-design, fail, broken or skip`},
		{"a verdict that is none", `"pass"`, `true`, `check 1 ("n"): read field "verdict": this is JSON bool, and a string is required`},
		{"a missing verdict", `"verdict": "pass", `, ``, `check 1 ("n"): field "verdict" is missing`},
		{"a check that is null", `[{"name"`, `[null, {"name"`, `check 1: field "name" is missing`},
		{"incomplete", `"complete": true, "ended_by": ""`, `"complete": false, "ended_by": "SIGINT"`, ""},
		{"not said whether complete", `"complete": true, `, ``, `field "complete" is missing`},
		{"complete as text", `"complete": true`, `"complete": "yes"`, `read field "complete": this is JSON string, and true or false is required`},
		{"unjudged", `"verdict": "pass"`, `"unjudged": true, "verdict": "broken"`, ""},
		{"missing feature", `"verdict": "pass"`, `"missing": "ipv6", "verdict": "skip"`, ""},
		{"a later schema", `"schema": 2, "subject": "s"`, `"schema": 3, "subject": {}`, `the card has schema 3, and this forkrig reads up to 2: use a newer forkrig`},
		{"a schema that is none", `"schema": 2`, `"schema": -2`, `read field "schema": this is JSON number -2, and a whole number from 0 to 2^64-1 is required`},
		{"null", `"seed": 1`, `"seed": null`, `field "seed" is missing`},
		{"no name", `"name": "n", `, ``, `check 1: field "name" is missing`},
		{"another case", `"seed"`, `"Seed"`, `field "seed" is missing`},
		{"a negative seed", `"seed": 1`, `"seed": -1`, `read field "seed": this is JSON number -1, and a whole number from 0 to 2^64-1 is required`},
		{"a seed beyond 64 bits", `"seed": 1`, `"seed": 18446744073709551616`, `read field "seed": this is JSON number 18446744073709551616, and a whole number from 0 to 2^64-1 is required`},
		{"a negative duration", "0.5", "-0.5", `check 1 ("n"): duration_ms -0.5 is out of range`},
		{"an endless duration", "0.5", "1e300", `check 1 ("n"): duration_ms 1e+300 is out of range`},
		{"evidence as text", `"evidence": []`, `"evidence": "x"`, `check 1 ("n"): read field "evidence": this is JSON string, and an array is required`},
		{"an array", `{"schema`, `[{"schema`, `unexpected end of JSON input at byte 301`},
		{"garbage", `0.5}]}`, `0.5}]} x`, `invalid character 'x' after top-level value at byte 302`},
		{"a second card", `0.5}]}`, `0.5}]} {}`, `invalid character '{' after top-level value at byte 302`},
		{"an end too early", `0.5}]}`, `0.5}`, `unexpected end of JSON input at byte 298`},
		{"a check twice", `"findings": [], "duration_ms": 0.5}`, `"duration_ms": 0.5}, {"name": "n", "verdict": "fail", "family": "IPv4"}`, `check 2 ("n"): it is there twice over "IPv4"`},
		{"nothing", oneCheck, ``, `unexpected end of JSON input at byte 0`},
		{"another type", oneCheck, `"card"`, `this is JSON string, and an object is required`},
	} {
		t.Run(v.name, func(t *testing.T) {
			text := strings.Replace(oneCheck, v.old, v.new, 1)
			parsesAs(t, text, v.err)
		})
	}
}

// parsesAs checks that a text is read and written again, or refused with this error.
func parsesAs(t *testing.T, text, wrong string) {
	t.Helper()
	card, err := Parse(strings.NewReader(text))
	if wrong != "" {
		assert.EqualError(t, err, "parse scorecard: "+wrong)
		assert.Zero(t, card)
		return
	}
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, card.WriteJSON(&b))
	assert.JSONEq(t, text, b.String())
}

// TestParseEarlierCards: a card without a schema is one of 0.1.0, and complete.
func TestParseEarlierCards(t *testing.T) {
	file, err := testdata.Open("testdata/wrong-0.1.0.json")
	require.NoError(t, err)
	defer file.Close()
	card, err := Parse(file)
	require.NoError(t, err)
	assert.Equal(t, cards["wrong"], card)
}

// TestParseIgnoresUnknownFields in every object of a card.
func TestParseIgnoresUnknownFields(t *testing.T) {
	merged, err := merge(named(shard("0/2", 1, Pass, "x"), shard("1/2", 2, Fail, "y"))...)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, merged.WriteJSON(&text))
	more := strings.ReplaceAll(text.String(), "{", `{"later": [1, {"a": null}], `)
	require.Equal(t, 1+1+1+2, strings.Count(more, "later"), "the card, its check, their counts, and both runs")
	card, err := Parse(strings.NewReader(more))
	require.NoError(t, err)
	assert.Equal(t, merged, card)
}

// FuzzParse requires that what Parse accepts survives a round trip, and that
// every writer can show it.
func FuzzParse(f *testing.F) {
	f.Add([]byte(oneCheck))
	for _, name := range []string{"cut-short", "wrong-0.1.0"} {
		text, err := testdata.ReadFile("testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		card, err := Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		var text bytes.Buffer
		require.NoError(t, card.WriteJSON(&text))
		again, err := Parse(bytes.NewReader(text.Bytes()))
		require.NoError(t, err)
		require.Equal(t, card, again)
		compact, err := json.Marshal(card)
		require.NoError(t, err)
		require.JSONEq(t, text.String(), string(compact))
		requireAllPrintable(t, card)
	})
}

// TestService is said where the origin of the card is, and read again.
func TestService(t *testing.T) {
	for want, s := range map[string]Service{
		"service seen: http":                           {Seen: "http"},
		"service given: echo":                          {Given: "echo", Seen: "echo"},
		"service given: echo; seen: http":              {Given: "echo", Seen: "http"},
		"service seen: upper; the server closes first": {Seen: "upper", Closes: "server"},
		`service given: a\x1b[2J`:                      {Given: "a\x1b[2J", Seen: "a\x1b[2J"},
	} {
		assert.Equal(t, want, s.String())
		card := Card{Subject: "s", Complete: true, Profile: Profile{Service: s}}
		assert.Contains(t, card.Origin(), "; "+want)
		var b bytes.Buffer
		require.NoError(t, card.WriteJSON(&b))
		read, err := Parse(&b)
		require.NoError(t, err)
		assert.Equal(t, s, read.Profile.Service)
	}
	assert.NotContains(t, Card{}.Origin(), "service")
}
