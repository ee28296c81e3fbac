// SPDX-License-Identifier: Apache-2.0

package cli

import (
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
