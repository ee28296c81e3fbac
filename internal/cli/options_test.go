// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/judge"
	"forkrig/rig"
)

// TestStormSignals: what was taken can be caught, and is written the same way again.
func TestStormSignals(t *testing.T) {
	for _, list := range []string{"", "HUP,USR1", "sigusr1, SIGUSR2 ", "KILL", "STOP", "9", ",,", "SIG", "RTMIN", "SIGSIGHUP"} {
		found, err := parseSignals(list)
		if err != nil {
			require.NotContains(t, err.Error(), "\x1b")
			continue
		}
		var names []string
		for _, s := range found {
			require.Positive(t, s)
			require.NotContains(t, []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP}, s)
			names = append(names, rig.SignalName(s))
		}
		again, err := parseSignals(strings.Join(names, ","))
		require.NoError(t, err)
		require.Equal(t, found, again)
	}
}

// TestSameFile sees one file behind two names; what is not a regular file may be written twice.
func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	name := func(file string) string { return filepath.Join(dir, file) }
	require.NoError(t, os.WriteFile(name("a"), nil, 0o666))
	require.NoError(t, os.Symlink("a", name("link")))
	require.NoError(t, os.Link(name("a"), name("hard")))
	require.NoError(t, os.WriteFile(name("b"), nil, 0o666))
	for _, other := range []string{"a", "link", "hard", "../" + filepath.Base(dir) + "/a"} {
		assert.True(t, sameFile(name("a"), dir+"/"+other), other)
	}
	assert.True(t, sameFile(name("new"), dir+"/./new"))
	for _, two := range [][2]string{{name("a"), name("b")}, {name("a"), name("new")}, {name("new"), name("a")}, {"", ""}, {"-", "-"},
		{os.DevNull, os.DevNull}} {
		assert.False(t, sameFile(two[0], two[1]), two)
	}
}

func TestParseReload(t *testing.T) {
	for text, wanted := range map[string]judge.Reload{
		"":                  {},
		"HUP":               {Signal: syscall.SIGHUP},
		"sigusr2":           {Signal: syscall.SIGUSR2},
		"kill -USR2 {pid}":  {Command: []string{"kill", "-USR2", "{pid}"}},
		"./reload-{pid}":    {Command: []string{"./reload-{pid}"}},
		"nginx -s 'reload'": {Command: []string{"nginx", "-s", "reload"}}, // Subject.Check refuses it
	} {
		got, err := parseReload(text)
		assert.NoError(t, err, text)
		assert.Equal(t, wanted, got, text)
	}
	for text, says := range map[string]string{"HUPP": "no signal", "KILL": "cannot be caught", "'half": "not closed", "HUP,USR2": "one signal"} {
		_, err := parseReload(text)
		assert.ErrorContains(t, err, says, text)
	}
	subject := BuiltIn()
	subject.Reload = judge.Reload{Command: []string{"nginx", "-s", "reload"}}
	assert.ErrorContains(t, subject.Check(), "{pid}")
}
