// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig/fault"
)

// TestBusyMachine lets clients converse and leave while a process computes on every
// processor: everything is slower, and nothing else (sched(7), the same priority for all).
func TestBusyMachine(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { converseOnABusyMachine(t, s, s.crowd(40)) })
}

// TestBusyMachineCatches sees that a busy machine excuses no wrong byte.
func TestBusyMachineCatches(t *testing.T) {
	catches(t, "mismatched", func(tb testing.TB, s *stage) { converseOnABusyMachine(tb, s, 4, "-defect", "drop-first-byte") })
}

func converseOnABusyMachine(tb testing.TB, s *stage, clients int, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	busy := s.strike(tb, fault.Busy{})
	info, err := srv.Info()
	require.NoError(tb, err)
	s.crowdConversesAndLeaves(tb, clients)
	everythingReaped(tb, srv, clients)
	_, waited, err := s.host.Scheduled(info)
	require.NoError(tb, err)
	tb.Logf("the server waited %v for a processor", waited)
	heal(tb, busy)
	allServed(tb, s.load(tb, s.clients[0], 1))
	everythingReaped(tb, srv, clients+1)
	assert.EqualValues(tb, clients+1, srv.stop(tb).Reaped)
}
