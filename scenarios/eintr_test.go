package scenarios

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/server/forkserver"
)

// stormSignals are caught by the reference server and do nothing there but
// interrupt it.
var stormSignals = []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

// TestEINTRInAccept storms the listener while clients connect and converse.
func TestEINTRInAccept(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		counts := conversationsInAListenerStorm(t, s)
		t.Logf("%d of %d accepts were interrupted", counts.Interrupted, counts.Interrupted+counts.Accepted)
	})
}

// TestEINTRInAcceptCatches sees the check fail at a server that takes an
// interrupted accept for an error.
func TestEINTRInAcceptCatches(t *testing.T) {
	t.Parallel()
	trial := rig.Try(t, func(tb testing.TB) {
		conversationsInAListenerStorm(tb, newStage(tb, variant{rig.IPv4, "fork"}, 2), "-defect", "exit-on-eintr")
	})
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "a signal during accept ended the listener")
}

// TestEINTRInWorkers storms the workers while they converse. SIGSTOP and
// SIGCONT need no handler: they interrupt a write that has sent a part, and
// leave a read alone (signal(7)).
func TestEINTRInWorkers(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		const size = "4194304" // more than the socket buffers hold, so that workers block in write
		var clients []*rig.Process
		for _, host := range s.clients {
			clients = append(clients, s.load(t, host, 4, "-parallel", "4", "-messages", "4", "-size", size))
		}
		_, err := srv.AwaitDescendants(t.Context(), "workers", func(l rig.ProcessInfos) bool { return len(l.Alive()) > 0 })
		require.NoError(t, err)
		storm, err := s.lab.StartStorm(rig.Storm{
			Signals:       []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT},
			Targets:       []rig.Target{srv.Workers()},
			RatePerSecond: 2000,
		})
		require.NoError(t, err)
		allServed(t, clients...)
		result, err := storm.Stop()
		require.NoError(t, err)
		require.Positive(t, result.Sent, "broken: the storm reached no worker")
		everythingReaped(t, srv, 8)
	})
}

// conversationsInAListenerStorm checks that during a storm on the listener no
// connection is lost and no byte is wrong, and that accept really was
// interrupted: otherwise the verdict is broken.
func conversationsInAListenerStorm(tb testing.TB, s *stage, serverArgs ...string) forkserver.Counts {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	storm, err := s.lab.StartStorm(rig.Storm{
		Signals:       stormSignals,
		Targets:       []rig.Target{srv.Itself()},
		RatePerSecond: 5000,
	})
	require.NoError(tb, err)
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, 100, "-parallel", "4", "-messages", "2"))
	}
	var failures []error
	for _, client := range clients {
		failures = append(failures, report(tb, client).Err())
	}
	result, err := storm.Stop()
	require.NoError(tb, err)
	if !srv.Running() {
		require.Fail(tb, "a signal during accept ended the listener",
			"expected: accept is called again after EINTR (accept(2))\nobserved: %v", srv.Stderr.Last(2))
	}
	for _, failure := range failures {
		require.NoError(tb, failure, "expected: a storm of signals loses no connection and no byte")
	}
	counts := srv.stop(tb)
	require.EqualValues(tb, 200, counts.Accepted)
	require.Positive(tb, counts.Interrupted, "broken: %v, but no accept was interrupted", result)
	return counts
}
