// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnnotationsOfARun, with a subject that would command the runner, and a baseline.
func TestAnnotationsOfARun(t *testing.T) {
	dir := t.TempDir()
	card, summary := filepath.Join(dir, "card.json"), filepath.Join(dir, "summary.md")
	command := append([]string{"judge", "-scorecard", card, "-checks", "reap,reuse-time-wait", "-family=4"}, wrongServer...)
	cmd := forkrig(command...)
	cmd.Env = append(cmd.Env, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary)
	text, _ := cmd.CombinedOutput()
	assert.Equal(t, statusWrong, cmd.ProcessState.ExitCode(), "%s", text)
	assert.Regexp(t, `(?m)^::error title=forkrig%3A cause 1::the server ends with status 1 when it is started while`, string(text))
	assert.Equal(t, 1, strings.Count(string(text), "::error"))
	markdown, err := os.ReadFile(summary)
	require.NoError(t, err)
	assert.Contains(t, string(markdown), "| reuse-time-wait | **fail** |")

	// What was so before is no error of this change.
	cmd = forkrig(append([]string{"judge", "-baseline", card}, command[3:]...)...)
	cmd.Env = append(cmd.Env, "GITHUB_ACTIONS=true")
	text, _ = cmd.CombinedOutput()
	assert.Equal(t, statusRight, cmd.ProcessState.ExitCode(), "%s", text)
	assert.NotContains(t, string(text), "::error")

	// The subject cannot be judged, and says so in its own words.
	cmd = forkrig("judge", "-family=4", "-checks=reap", "--", "sh", "-c", "printf '::add-mask::a\\n##[add-mask]b\\n' >&2; exit 3", "{port}")
	cmd.Env = append(cmd.Env, "GITHUB_ACTIONS=true")
	text, _ = cmd.CombinedOutput()
	assert.Equal(t, statusUnable, cmd.ProcessState.ExitCode(), "%s", text)
	assert.Regexp(t, `(?m)^::error title=forkrig%3A incomplete::.*%0Anot judged: the subject cannot be judged`, string(text))
	rest := regexp.MustCompile(`(?m)^::error.*\n`).ReplaceAllString(string(text), "")
	assert.NotRegexp(t, `(?m)^\s*::|##\[`, rest)
	assert.Contains(t, rest, `add-mask`)
}
