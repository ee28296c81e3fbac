package scenarios

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestBusyMachine lets clients converse and leave while every processor is busy:
// everything is slower, and nothing else.
func TestBusyMachine(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) { converseOnABusyMachine(t, newStage(t, v, hosts)) })
}

// TestBusyMachineCatches sees that a busy machine hides no zombies.
func TestBusyMachineCatches(t *testing.T) {
	t.Parallel()
	catches(t, "200 zombies of 200 workers stay", func(tb testing.TB) {
		converseOnABusyMachine(tb, newStage(tb, variant{rig.IPv4, "fork"}, hosts), "-defect", "no-reap", "-grace", "1ms")
	})
}

func converseOnABusyMachine(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	busy := s.strike(tb, fault.Busy{})
	info, err := srv.Info()
	require.NoError(tb, err)
	crowdConversesAndLeaves(tb, s)
	everythingReaped(tb, srv, crowd)
	_, waited, err := s.host.Scheduled(info)
	require.NoError(tb, err)
	tb.Logf("the server waited %v for a processor", waited)
	heal(tb, busy)
	allServed(tb, s.load(tb, s.clients[0], 1))
	everythingReaped(tb, srv, crowd+1)
	assert.EqualValues(tb, crowd+1, srv.stop(tb).Reaped)
}
