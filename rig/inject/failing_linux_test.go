// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig/fault"
	"forkrig/rig/inject"
)

// TestFailingBitesAndHeals: system calls fail as any other fault.
func TestFailingBitesAndHeals(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	assert.Equal(t, "..", a.ask("self 2"))
	failing, err := fault.Apply(t.Context(), a.lab, inject.Failing{Session: a.Session,
		Rules: []inject.Rule{{Every: 2, Errno: syscall.EINTR}}})
	require.NoError(t, err)
	assert.Equal(t, ".[EINTR].[EINTR]", a.ask("self 4"))
	require.NoError(t, failing.Heal(t.Context()))
	assert.Equal(t, "....", a.ask("self 4"))

	_, err = fault.Apply(t.Context(), a.lab, inject.Failing{Session: a.Session})
	assert.ErrorContains(t, err, "the session or the rules are missing")
	_, err = fault.Apply(t.Context(), a.lab, inject.Failing{Session: a.Session, Rules: []inject.Rule{{Nth: -1, Errno: syscall.EINTR}}})
	assert.ErrorContains(t, err, "count from 1")
}
