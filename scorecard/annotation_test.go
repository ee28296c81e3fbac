// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// workflowCommand is a line as a runner takes it apart: the level, the title and the text, escaped.
var workflowCommand = regexp.MustCompile(`^::(error|warning) title=([^:,]*)::(.*)$`)

// annotations returns the commands of a card, unescaped.
func annotations(t *testing.T, card Card) (all []annotation) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, card.WriteAnnotations(&b))
	require.NotContains(t, b.String(), "\r")
	if b.Len() > 0 {
		require.True(t, strings.HasSuffix(b.String(), "\n"))
	}
	unescape := strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%").Replace
	levels := map[string]int{}
	for line := range strings.Lines(b.String()) {
		parts := workflowCommand.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		require.NotNil(t, parts, "%q", line)
		levels[parts[1]]++
		all = append(all, annotation{parts[1], unescape(parts[2]), strings.Split(unescape(parts[3]), "\n")})
	}
	for level, n := range levels {
		require.LessOrEqual(t, n, 10, level)
	}
	return all
}

func titles(all []annotation) (titles []string) {
	for _, a := range all {
		titles = append(titles, a.level+" "+a.title)
	}
	return titles
}

func TestAnnotations(t *testing.T) {
	for name, want := range map[string][]string{
		"right": nil,
		"empty": {"error forkrig: nothing is known"},
		"wrong": {"error forkrig: reaping over IPv4 and IPv6: fail", "error forkrig: survives-reset over IPv4: fail",
			"error forkrig: survives-reset over IPv6: fail", "error forkrig: reuse-addr over IPv6: broken"},
		"meant":          {"warning forkrig: accept-aborted over IPv4: warn"},
		"cut-short":      {"error forkrig: signal-storm over IPv4: broken", "error forkrig: incomplete"},
		"cut-short-late": {"error forkrig: cause 1", "error forkrig: incomplete"},
		"one-cause":      {"error forkrig: cause 1"},
		"preliminary":    {"error forkrig: cause 1"},
		"healthy":        nil,
	} {
		assert.Equal(t, want, titles(annotations(t, allCards()[name])), name)
	}
	all := annotations(t, allCards()["one-cause"])
	assert.Equal(t, []string{`the server ends with status 1 when a client resets its connection: "Error: read ECONNRESET"; 11 checks fail because of it`,
		"remedy: an error of one connection must not end the listener: end only its worker, and log what happened"}, all[0].text)
}

// TestManyAnnotations: GitHub drops what is more than ten without a word.
func TestManyAnnotations(t *testing.T) {
	all := annotations(t, allCards()["all-different"])
	require.Len(t, all, 10)
	assert.Regexp(t, `^forkrig: \d+ more$`, all[9].title)
	card := Card{Complete: true}
	for i := range 10 {
		card.Checks = append(card.Checks, Result{Name: fmt.Sprint("check-", i), Verdict: Fail}, Result{Name: fmt.Sprint("other-", i), Verdict: Warn})
	}
	assert.Len(t, annotations(t, card), 20)
	assert.NotContains(t, strings.Join(titles(annotations(t, card)), " "), "more")
}

// FuzzAnnotations: whatever a subject wrote, each line is one command of ours.
func FuzzAnnotations(f *testing.F) {
	for _, s := range []string{"a", "a\n::add-mask::b", "\r::error::x", "%0A::stop-commands::x", "::x,title=y:z%", "##[add-mask]x", "\u2028::error::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		card := Card{EndedBy: s, Causes: []Cause{{ID: 1, Text: s, Remedy: s, End: &End{Words: s}}}, Checks: []Result{
			{Name: s, Family: s, Verdict: Fail, Observed: s, Reproduce: s},
			{Name: s, Family: "IPv6", Verdict: Warn, Remedy: s, Findings: []string{s}},
		}}
		require.Len(t, annotations(t, card), 4)
	})
}
