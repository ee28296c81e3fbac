// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/scorecard"
)

// runnerCommand is what a runner of GitHub Actions takes for a command, after some bytes that it may
// not see.
var runnerCommand = regexp.MustCompile(`(?m)^[\x00-\x20\x7f-\xff]*:[\x00-\x09\x0b\x0c\x0e-\x20\x7f-\xff]*:|##\[`)

func TestCommandGuard(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"pass reap\n":                    "pass reap\n",
		"::error::x\n":                   `:\x3aerror::x` + "\n",
		"a\n  ::add-mask::x":             "a\n  :" + `\x3aadd-mask::x`,
		"a\r::error::x":                  "a\r:" + `\x3aerror::x`,
		"\t\u00a0\u3000::x::":            "\t\u00a0\u3000:" + `\x3ax::`,
		"a ::error::x, [::1]:80":         "a ::error::x, [::1]:80",
		"say ##[add-mask]x, ###[a #[b #": `say ##\u005badd-mask]x, ###\u005ba #[b #`,
		":\x00:x::":                      ":\x00" + `\x3ax::`,
		": : x":                          ": " + `\x3a x`, // a runner does not mind blanks, and neither do we
		"\x1b[31m::error::":              "\x1b[31m::error::",
	} {
		for size := 1; size <= len(text)+1; size++ { // whatever is written at once
			var got bytes.Buffer
			guard := &commandGuard{}
			for rest := []byte(text); len(rest) > 0; {
				n := min(size, len(rest))
				got.Write(guard.guarded(rest[:n]))
				rest = rest[n:]
			}
			require.Equal(t, want, got.String())
		}
	}
}

// TestCommandGuardOfAnything has no fuzz test: see docs/decisions/0001.
func TestCommandGuardOfAnything(t *testing.T) {
	parts := []string{":", "::", "#", "##[", "[", " ", "\t", "\r", "\n", "a", "\x00", "\xc2\x85", "\u2028", "\u00ad", "\xff"}
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 0))
		text := ""
		for range 1 + random.IntN(12) {
			text += parts[random.IntN(len(parts))]
		}
		got := (&commandGuard{}).guarded([]byte(text))
		for line := range bytes.SplitSeq(bytes.ReplaceAll(got, []byte("\r"), []byte("\n")), []byte("\n")) {
			require.False(t, runnerCommand.Match(line), "seed %d: %q", seed, line)
		}
	}
}

// TestGuardedJSONIsTheSame, because lines of JSON are printed, too.
func TestGuardedJSONIsTheSame(t *testing.T) {
	text := `{"a":"##[error]x"}`
	assert.JSONEq(t, text, string((&commandGuard{}).guarded([]byte(text))))
}

// TestOutputAnnotates only for a runner, and what a subject wrote is no command.
func TestOutputAnnotates(t *testing.T) {
	hostile := "::add-mask::a"
	card := scorecard.Card{Subject: hostile, Complete: true,
		Checks: []scorecard.Result{{Name: "reap", Verdict: scorecard.Fail, Observed: hostile + "\n" + hostile}}}
	for _, actions := range []string{"", "true"} {
		t.Setenv("GITHUB_ACTIONS", actions)
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		out := newOutput(file)
		_ = card.WriteText(out, scorecard.Style{})
		out.annotate(card)
		require.NoError(t, file.Close())
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		begins := regexp.MustCompile(`(?m)^\s*::.*`).FindAllString(string(text), -1)
		if actions == "" {
			assert.Equal(t, "::add-mask::a", begins[0], "as it is")
			assert.NotContains(t, string(text), "::error")
			continue
		}
		assert.Equal(t, []string{"::error title=forkrig%3A reap%3A fail::::add-mask::a ::add-mask::a"}, begins)
	}
}

// TestStepSummary is appended, and stays below what GitHub takes from one step, where another command
// has written before.
func TestStepSummary(t *testing.T) {
	name := filepath.Join(t.TempDir(), "summary")
	t.Setenv("GITHUB_STEP_SUMMARY", name)
	card := scorecard.Card{Subject: "./server", Complete: true}
	for i := range 40 {
		card.Checks = append(card.Checks, scorecard.Result{Name: strings.Repeat("x", i+1), Verdict: scorecard.Fail,
			Observed: "it stays <b>", Evidence: []string{strings.Repeat("evidence ", 10_000)}})
	}
	for _, before := range []int{0, 10, maxSummaryBytes / 2, maxSummaryBytes - 2000, maxSummaryBytes - 100, maxSummaryBytes - 1, maxSummaryBytes, maxSummaryBytes + 5} {
		old := bytes.Repeat([]byte("o"), before)
		require.NoError(t, os.WriteFile(name, old, 0o666))
		err := appendSummary(card)
		if before > maxSummaryBytes-50 {
			require.ErrorContains(t, err, "there is no room for the card")
		} else {
			require.NoError(t, err)
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.LessOrEqual(t, len(text), max(before, maxSummaryBytes), before)
		require.True(t, bytes.HasPrefix(text, old))
		if before <= maxSummaryBytes-2000 {
			assert.Contains(t, string(text), "## Scorecard of `./server`\n")
			assert.NotContains(t, string(text), "o## ", "a heading begins a line")
		}
		assert.NotContains(t, string(text), "<b> ")
	}
	t.Setenv("GITHUB_STEP_SUMMARY", filepath.Join(name, "no", "directory"))
	assert.Error(t, appendSummary(card))
	t.Setenv("GITHUB_STEP_SUMMARY", "")
	assert.NoError(t, appendSummary(card))
}
