// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

// TestDefinition: what is known of the values of flags comes from their placeholders.
func TestDefinition(t *testing.T) {
	t.Parallel()
	flags, commands := map[string]definedFlag{}, map[string]definedCommand{}
	for _, d := range defined((&program{}).command()) {
		commands[d.name] = d
		for _, f := range d.flags {
			flags[d.name+" -"+f.name] = f
			for _, word := range f.words { // no script has to quote them
				assert.Regexp(t, `^[A-Za-z0-9.:+-]+$`, word, f.name)
			}
		}
	}
	for name, wanted := range map[string]definedFlag{
		"judge -family":  {words: []string{"4", "6"}},
		"judge -closes":  {words: []string{"client", "server"}},
		"judge -reload":  {words: []string{"HUP", "USR2"}},
		"judge -strict":  {},
		"judge -within":  {},
		"judge -subject": {},
		"kernels -jobs":  {words: []string{"probes", "binds", "card"}, list: true},
		"kernels -with":  {files: true},
		"kernels -json":  {files: true},
		"search -shard":  {},
	} {
		f, ok := flags[name]
		require.True(t, ok, name)
		assert.Equal(t, wanted, definedFlag{words: f.words, list: f.list, files: f.files}, name)
	}
	for name, contains := range map[string]string{"judge -checks": "reap-burst", "judge -service": "redis", "search -without": "storm",
		"judge -storm-signals": "USR1", "kernels -on": "host", "kernels -probes": "K15"} {
		assert.Contains(t, flags[name].words, contains, name)
	}
	assert.NotContains(t, flags["judge -storm-signals"].words, "KILL")
	assert.Contains(t, flags["judge -service"].words, "auto")
	assert.True(t, flags["judge -service"].files)
	assert.Equal(t, []string{"fetch", "list"}, commands["kernels"].words)
	assert.Equal(t, []string{"bash", "zsh", "fish"}, commands["completion"].words)
	assert.True(t, commands["merge"].files)
	assert.True(t, commands["replay"].server && commands["replay"].files)
}

// completed are words that are typed in any shell, and what the last one may become.
var completed = []struct {
	words, becomes []string
}{
	{[]string{"ju"}, []string{"judge"}},
	{[]string{"judge", "-che"}, []string{"-checks"}},
	{[]string{"judge", "-family", ""}, []string{"4", "6"}},
	{[]string{"judge", "-checks", "reap-"}, []string{"reap-burst", "reap-exact"}},
	{[]string{"judge", "-checks", "term,reap-b"}, []string{"term,reap-burst"}},
	{[]string{"judge", "-strict", "-clos"}, []string{"-closes"}},
	{[]string{"search", "-without", "half-close,sto"}, []string{"half-close,storm"}},
	{[]string{"kernels", "fe"}, []string{"fetch"}},
	{[]string{"help", "se"}, []string{"search"}},
	{[]string{"judge", "-v", "--", "only-here-f"}, []string{"only-here-for-completion"}},
}

// completionDir makes a directory with the completion script of a shell, and with a program whose name
// is unique.
func completionDir(t *testing.T, shell string) (dir string, environment []string) {
	t.Helper()
	rig.NeedPrograms(t, shell)
	dir = t.TempDir()
	script, status := run(t, "completion", shell)
	require.Equal(t, statusRight, status, script)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "script"), []byte(script), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "only-here-for-completion"), nil, 0o777))
	return dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "TERM=dumb", "HOME="+dir, "ZDOTDIR="+dir)
}

func TestCompletionOfBash(t *testing.T) {
	t.Parallel()
	dir, environment := completionDir(t, "bash")
	complete := func(t *testing.T, words ...string) []string {
		t.Helper()
		// The script runs as readline calls it, in a bash without any set-up.
		cmd := exec.Command("bash", "--norc", "--noprofile", "-c", `source ./script; COMP_WORDS=(forkrig "$@") COMP_CWORD=$#
			_forkrig forkrig "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		cmd.Args = append(cmd.Args, words...)
		cmd.Dir, cmd.Env = dir, environment
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.Fields(string(out))
	}
	for _, v := range completed {
		assert.Equal(t, v.becomes, complete(t, v.words...), "%q", v.words)
	}
	// bash takes = for a word, or not.
	assert.Equal(t, []string{"4", "6"}, complete(t, "judge", "-family", "="))
	assert.Equal(t, []string{"6"}, complete(t, "judge", "-family", "=", "6"))
	assert.Equal(t, []string{"-checks=reap,term"}, complete(t, "judge", "-checks=reap,ter"))
	assert.Equal(t, []string{"--checks"}, complete(t, "judge", "--che"))
	assert.Contains(t, complete(t, "judge", "--checks", ""), "reap")
	assert.Contains(t, complete(t, "judge", "-"), "--")
	assert.Empty(t, complete(t, "judge", "-within", "1"))
	assert.Empty(t, complete(t, "list", "x"))

	// What was typed is not run.
	for _, hostile := range []string{"$(touch ran)", "`touch ran`", "; touch ran;", "a[$(touch ran)]", "'", `"`, "*", "-checks=$(touch ran)", "a,$(touch ran)"} {
		for _, before := range [][]string{{}, {"judge"}, {"judge", "-checks"}, {"judge", "--", "sh"}, {"judge", hostile}, {hostile}} {
			complete(t, append(before, hostile)...)
		}
	}
	assert.NoFileExists(t, filepath.Join(dir, "ran"))
}

func TestCompletionOfFish(t *testing.T) {
	t.Parallel()
	dir, environment := completionDir(t, "fish")
	complete := func(line string) []string {
		cmd := exec.Command("fish", "--no-config", "-c", "source ./script; complete -C "+`"$FORKRIG_TEST_LINE"`)
		cmd.Dir, cmd.Env = dir, append(environment, "FORKRIG_TEST_LINE="+line)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		var words []string
		for candidate := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(candidate, "\n"), "\t")
			words = append(words, word)
		}
		return words
	}
	for _, v := range completed {
		line := "forkrig " + strings.Join(v.words, " ")
		assert.Subset(t, complete(line), v.becomes, line)
	}
	for _, hostile := range []string{"(touch ran)", "$(touch ran)", "; touch ran;", "'"} {
		for _, before := range []string{"", "judge ", "judge -checks ", "judge -- sh "} {
			complete("forkrig " + before + "'" + hostile + "' ")
		}
	}
	assert.NoFileExists(t, filepath.Join(dir, "ran"))
}

// TestCompletionOfZsh types in a terminal: the functions of completion work nowhere else.
func TestCompletionOfZsh(t *testing.T) {
	t.Parallel()
	dir, environment := completionDir(t, "zsh")
	rig.NeedPrograms(t, "script")
	cmd := exec.CommandContext(t.Context(), "script", "-qfec", "exec zsh -f -i", os.DevNull)
	cmd.Dir, cmd.Env = dir, environment
	keys, err := cmd.StdinPipe()
	require.NoError(t, err)
	screen, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = keys.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	reader := make(chan string)
	go func() {
		defer close(reader)
		for part := make([]byte, 1<<12); ; {
			n, err := screen.Read(part)
			if n > 0 {
				reader <- string(part[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	await := func(what string) {
		t.Helper()
		seen := ""
		ctx, cancel := context.WithTimeout(t.Context(), rig.Patience())
		defer cancel()
		for !regexp.MustCompile(what).MatchString(seen) {
			select {
			case part, ok := <-reader:
				require.True(t, ok, "zsh ended: %q", seen)
				seen += part
			case <-ctx.Done():
				require.Fail(t, "zsh does not show it", "wanted %q, seen %q", what, seen)
			}
		}
	}
	_, err = io.WriteString(keys, "PS1='> ' PROMPT_EOL_MARK=; autoload -U compinit; compinit -D -u; source ./script; print rea''dy\n")
	require.NoError(t, err)
	await(`ready\s*\n`)
	for _, v := range completed {
		keyed := "\x15forkrig " + strings.Join(v.words, " ") + "\t" // ^U empties the line
		if len(v.becomes) > 1 {
			keyed += "\t" // the second one lists them
		}
		_, err := io.WriteString(keys, keyed)
		require.NoError(t, err)
		if len(v.becomes) == 1 {
			await(regexp.QuoteMeta(strings.Join(append(v.words[:len(v.words)-1:len(v.words)-1], v.becomes[0]), " ")))
		} else {
			await(strings.Join(v.becomes, `\s+`))
		}
	}
}
