// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

// TestReuseAddrInTimeWait restarts the server while its port is in TIME_WAIT (RFC 9293,
// section 3.6.1; socket(7), SO_REUSEADDR).
func TestReuseAddrInTimeWait(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { restartInTimeWait(t, s) })
}

// TestReuseAddrWithALiveWorker restarts the server while a worker of its predecessor still
// converses (socket(7), SO_REUSEADDR: "except when there is an active listening socket").
// Family and worker model decide together what still holds the port, so it is told in all
// four variants.
func TestReuseAddrWithALiveWorker(t *testing.T) {
	inEach(t, everyVariant, func(t *testing.T, v variant) { restartWithALiveWorker(t, newStage(t, v, 1)) })
}

// TestReuseAddrCatches sees both checks fail at a server without SO_REUSEADDR.
func TestReuseAddrCatches(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(testing.TB, *stage, ...string){
		"in TIME_WAIT":       restartInTimeWait,
		"with a live worker": restartWithALiveWorker,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial := rig.Try(t, func(tb testing.TB) {
				restart(tb, newStage(tb, variant{rig.IPv4, "fork"}, 1), "-defect", "no-reuseaddr")
			})
			assert.True(t, trial.Failed)
			assert.Contains(t, trial.Log, "without listening")
			assert.Contains(t, trial.Log, "address already in use")
		})
	}
}

func restartInTimeWait(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	s.leaveTimeWait(tb, serverArgs...)
	second := s.serve(tb, serverArgs...)
	s.timeWaitStays(tb)
	allServed(tb, s.load(tb, s.clients[0], 1))
	second.stop(tb)
}

func restartWithALiveWorker(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	first := s.serve(tb, append(serverArgs, "-leave-workers")...)
	old := s.client(tb, s.clients[0])
	say(tb, old, "before", "before")
	require.NoError(tb, first.Kill(tb.Context()))
	orphans, err := s.host.Processes()
	require.NoError(tb, err)
	require.Len(tb, orphans, 1, "broken: the old worker must have outlived its server")

	second := s.serve(tb, serverArgs...)
	say(tb, old, "after", "after")
	allServed(tb, s.load(tb, s.clients[0], 1))
	require.NoError(tb, old.Stdin.Close())
	ends(tb, old, 0)
	second.stop(tb)
}

// TestReuseAddrNegativeControls shows what SO_REUSEADDR is for: without it a
// restart in TIME_WAIT fails, and where the kernel keeps no TIME_WAIT (tcp(7),
// tcp_max_tw_buckets) it succeeds.
func TestReuseAddrNegativeControls(t *testing.T) {
	inVariants(t, func(t *testing.T, v variant) {
		t.Run("in TIME_WAIT the bind fails", func(t *testing.T) {
			s := newStage(t, v, 1)
			s.leaveTimeWait(t, "-defect", "no-reuseaddr")
			second := s.host.MustStart(rig.Program("server", s.serverArgs(s.address, "-defect", "no-reuseaddr")...))
			ends(t, second, 1)
			s.timeWaitStays(t)
			_, err := second.Stderr.AwaitLine(t.Context(), "the reason", contains("address already in use"))
			require.NoError(t, err)
		})
		t.Run("without TIME_WAIT the bind succeeds", func(t *testing.T) {
			s := newStage(t, v, 1)
			require.NoError(t, s.host.SetSysctl("net.ipv4.tcp_max_tw_buckets", "0"))
			s.converseAndStop(t, "-defect", "no-reuseaddr")
			second := s.serve(t, "-defect", "no-reuseaddr")
			sockets, err := s.host.Sockets()
			require.NoError(t, err)
			require.Empty(t, sockets.On(port).In(rig.TimeWait), "broken: tcp_max_tw_buckets=0 should leave no TIME_WAIT")
			second.stop(t)
		})
	})
}

// leaveTimeWait runs a server that closes first, and stops it. It returns when
// the kernel shows TIME_WAIT on the server's port and nothing else there. Where that is over
// before it is seen, as on a machine that stood still for a minute, it begins again.
func (s *stage) leaveTimeWait(tb testing.TB, serverArgs ...string) {
	tb.Helper()
	var here rig.Sockets
	require.NoError(tb, rig.Await(tb.Context(), "TIME_WAIT on the server's port", func() (bool, string, error) {
		if len(here) == 0 {
			s.converseAndStop(tb, serverArgs...)
		}
		sockets, err := s.host.Sockets()
		here = sockets.On(port)
		return len(here) > 0 && len(here) == len(here.In(rig.TimeWait)), here.String(), err
	}), "broken: no TIME_WAIT before the restart")
	s.lab.Journal.Record(s.host.Name, "before the restart: %v", here)
}

// converseAndStop runs a server that answers a few clients, closes first each
// time, and is stopped.
func (s *stage) converseAndStop(tb testing.TB, serverArgs ...string) {
	tb.Helper()
	first := s.serve(tb, append(serverArgs, "-once")...)
	// The client waits for the end of the stream before it closes: otherwise it
	// may close first, and then TIME_WAIT is on its own side. It closes without a
	// shutdown before: a server's host that keeps no TIME_WAIT answers the
	// client's last segment with a reset, and then shutdown is an error.
	allServed(tb, s.load(tb, s.clients[0], 5, "-one-shot", "-leave", "close"))
	first.stop(tb)
}

// timeWaitStays checks that the port still was in TIME_WAIT when it was bound again.
func (s *stage) timeWaitStays(tb testing.TB) {
	tb.Helper()
	sockets, err := s.host.Sockets()
	require.NoError(tb, err)
	require.NotEmpty(tb, sockets.On(port).In(rig.TimeWait), "broken: no TIME_WAIT is left after the restart, so it proves nothing")
}
