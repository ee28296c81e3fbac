// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// strike applies a fault to the stage's lab.
func (s *stage) strike(tb testing.TB, f fault.Fault) *fault.Applied {
	tb.Helper()
	applied, err := fault.Apply(tb.Context(), s.lab, f)
	rig.SkipIfMissing(tb, err)
	return applied
}

// heal heals a fault.
func heal(tb testing.TB, applied *fault.Applied) {
	tb.Helper()
	require.NoError(tb, applied.Heal(tb.Context()))
}

// waitingForAccept waits until so many connections wait for the listener to accept
// them, as the kernel counts them. It fails at once where the queue is full before.
func (s *stage) waitingForAccept(tb testing.TB, connections int) {
	tb.Helper()
	full := ""
	_, err := s.host.AwaitSockets(tb.Context(), fmt.Sprintf("%d connections that wait for accept", connections), func(all rig.Sockets) bool {
		for _, listener := range all.On(port).In(rig.Listening) {
			switch {
			case int(listener.RecvQueue) == connections:
				return true
			case listener.RecvQueue > listener.SendQueue:
				full = listener.String()
				return true
			}
		}
		return false
	})
	require.NoError(tb, err)
	require.Empty(tb, full, "the backlog is too small: clients are turned away")
}
