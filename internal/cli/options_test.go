// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

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
