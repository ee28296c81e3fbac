// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// junitRules are the children and attributes that Jenkins' schema (junit-10.xsd of its xUnit plugin)
// allows; those with an exclamation mark have to be there. Ours are also Surefire's.
var junitRules = map[string]struct{ children, attributes string }{
	"testsuites": {"testsuite", "name time tests failures errors"},
	"testsuite":  {"properties testcase system-out system-err", "name! tests! failures! errors! time skipped timestamp hostname"},
	"properties": {"property", ""},
	"property":   {"", "name! value!"},
	"testcase":   {"skipped error failure system-out system-err", "name! time classname"},
	"failure":    {"", "type message"},
	"error":      {"", "type message"},
	"skipped":    {"", "type message"},
	"system-out": {"", ""},
}

// requireJUnit sees that a text is well-formed XML of characters that XML 1.0 allows, with elements
// as the rules say, and counts that are right. It returns the suites.
func requireJUnit(t *testing.T, text []byte) junitSuites {
	t.Helper()
	require.True(t, utf8.Valid(text))
	require.NotRegexp(t, "[^\t\n\x20-\uFFFD\U00010000-\U0010FFFF]", string(text), "XML 1.0, section 2.2")
	require.True(t, bytes.HasPrefix(text, []byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n<testsuites ")))
	decoder := xml.NewDecoder(bytes.NewReader(text))
	var open []string
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			rule, known := junitRules[name]
			require.True(t, known, name)
			if len(open) > 0 {
				require.Contains(t, strings.Fields(junitRules[open[len(open)-1]].children), name)
			}
			open = append(open, name)
			allowed := strings.Fields(rule.attributes)
			for _, a := range token.Attr {
				i := slices.IndexFunc(allowed, func(n string) bool { return strings.TrimSuffix(n, "!") == a.Name.Local })
				require.GreaterOrEqual(t, i, 0, "%s of %s", a.Name.Local, name)
				allowed = slices.Delete(allowed, i, i+1)
				if a.Name.Local == "time" {
					require.Regexp(t, regexp.MustCompile(`^[0-9]+\.[0-9]{3}$`), a.Value)
				}
			}
			for _, n := range allowed {
				require.False(t, strings.HasSuffix(n, "!"), "%s lacks %s", name, n)
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	var all junitSuites
	require.NoError(t, xml.Unmarshal(text, &all))
	var sum junitCounts
	for _, suite := range all.Suites {
		var own junitSuite
		for _, one := range suite.Cases {
			own.add(one, "program")
		}
		require.Equal(t, own.Skipped, suite.Skipped)
		own.Time, suite.Time = 0, 0
		require.Equal(t, own.junitCounts, suite.junitCounts)
		sum.Tests, sum.Failures, sum.Errors = sum.Tests+own.Tests, sum.Failures+own.Failures, sum.Errors+own.Errors
	}
	sum.Time = all.Time
	require.Equal(t, sum, all.junitCounts)
	return all
}

// UnmarshalText is for tests alone.
func (s *seconds) UnmarshalText(text []byte) error {
	value, err := strconv.ParseFloat(string(text), 64)
	*s = seconds(value * float64(time.Second))
	return err
}

// TestWriteJUnit: what a card says is what a CI system counts.
func TestWriteJUnit(t *testing.T) {
	for name, card := range allCards() {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			require.NoError(t, card.WriteJUnit(&text))
			all := requireJUnit(t, text.Bytes())
			if slices.Contains([]string{"wrong", "meant", "hostile", "cut-short", "empty"}, name) {
				golden(t, name+".xml", text.Bytes())
			}
			n := card.Counts()
			beside := 0
			if card.besideChecks() != "" {
				beside = 1
			}
			assert.Equal(t, n.Fail, all.Failures)
			assert.Equal(t, n.Broken+beside, all.Errors)
			assert.Equal(t, n.all()+beside, all.Tests)
			assert.Equal(t, card.OK(), all.Failures+all.Errors == 0, "as green as the card")
		})
	}
}

// TestJUnitIsAsRedAsTheCard where no check says what is wrong.
func TestJUnitIsAsRedAsTheCard(t *testing.T) {
	pass, skip := Result{Name: "reap", Family: "IPv4", Verdict: Pass}, Result{Name: "term", Family: "IPv4", Verdict: Skip}
	cause := Cause{ID: 1, Text: "the server ends with its first client", Unjudged: 30}
	for want, card := range map[string]Card{
		"":                                   {Complete: true, Checks: []Result{pass, skip}},
		"no check has judged anything: ":     {Complete: true, Checks: []Result{skip}},
		"cause 1: the server ends with its ": {Complete: true, Causes: []Cause{cause}, Checks: []Result{pass, skip}},
		"incomplete: ended by SIGINT":        {EndedBy: "SIGINT", Checks: []Result{pass}},
		"incomplete: the run was killed":     {Checks: []Result{pass}},
		"shards missing: 1 of 2": {Complete: true, Checks: []Result{pass},
			Runs: []Run{{Shard: Shard{0, 2}}}},
	} {
		var text bytes.Buffer
		require.NoError(t, card.WriteJUnit(&text))
		all := requireJUnit(t, text.Bytes())
		if want == "" {
			assert.Zero(t, all.Errors)
			continue
		}
		assert.Equal(t, 1, all.Errors, want)
		assert.True(t, strings.HasPrefix(all.Suites[len(all.Suites)-1].Cases[0].Error.Message, want), text.String())
	}
}

// TestJUnitIsBounded: one text of 1 MB, or a hundred thousand lines, are cut and counted.
func TestJUnitIsBounded(t *testing.T) {
	long := Result{Name: strings.Repeat("n", 1000), Family: "IPv4", Verdict: Fail, Observed: strings.Repeat("]]>", 1<<19),
		Evidence: slices.Repeat([]string{"a line of a log\x00"}, 20_000)}
	card := Card{Subject: "s", Complete: true}
	for range 10 {
		card.Checks = append(card.Checks, long)
	}
	var text bytes.Buffer
	require.NoError(t, card.WriteJUnit(&text))
	assert.Less(t, text.Len(), 3*junitBytes, "each ]]> is written as two parts")
	assert.Contains(t, requireJUnit(t, text.Bytes()).Suites[0].Cases[9].Failure.Text, "lines left out")
}

// FuzzWriteJUnit has any bytes in every text.
func FuzzWriteJUnit(f *testing.F) {
	for _, s := range []string{"a", "]]>", "\x00\x1b[2J\x7f\u0085", "\xff\xfe]]\xc0>", "<a b='c\"'>&amp;&#0;", "\uFFFE\uFFFF\u202E", "]]\r\n>"} {
		f.Add(s, string(Fail))
		f.Add(s, string(Warn))
	}
	f.Fuzz(func(t *testing.T, s, verdict string) {
		end := End{Kind: s, Signal: s, Words: s, After: []Stimulus{Stimulus(s)}}
		card := Card{Subject: s, Kernel: s, Machine: s, EndedBy: s, Causes: []Cause{{ID: 1, Text: s, End: &end}},
			Checks: []Result{{Name: s, Family: s, Verdict: Verdict(verdict), Expected: s, Observed: s, Findings: []string{s},
				Remedy: s, Reason: s, CauseID: 1, Stimuli: end.After, End: &end, Evidence: []string{s}, Reproduce: s}}}
		var text bytes.Buffer
		require.NoError(t, card.WriteJUnit(&text))
		requireJUnit(t, text.Bytes())
	})
}

// TestJUnitOfACardThatWasRead is that of the card as it was.
func TestJUnitOfACardThatWasRead(t *testing.T) {
	card := full(func(r *Result, place int) { r.Duration = 52_549_999 + time.Duration(place)*7_777_777 })
	var text, again bytes.Buffer
	require.NoError(t, card.WriteJUnit(&text))
	read, err := Parse(strings.NewReader(cardText(t, card)))
	require.NoError(t, err)
	require.NoError(t, read.WriteJUnit(&again))
	assert.Equal(t, text.String(), again.String())
}

func TestWriteJUnitFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "junit.xml")
	for _, card := range []string{"wrong", "meant"} {
		require.NoError(t, WriteJUnitFile(name, cards[card]))
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		golden(t, card+".xml", content)
	}
	assert.Equal(t, []string{"junit.xml"}, names(t, filepath.Dir(name)))
	assert.ErrorContains(t, WriteJUnitFile(filepath.Join(name, "x"), cards["right"]), "write JUnit: ")
}
