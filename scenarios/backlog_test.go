// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestBacklogOfAKilledServer kills the server while clients wait in its backlog: the
// kernel resets them when the last descriptor of the listener is closed
// (inet_csk_listen_stop in net/ipv4/inet_connection_sock.c).
func TestBacklogOfAKilledServer(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { killWithABacklog(t, s, s.crowd(50)) })
}

// TestBacklogOfAKilledServerCatches sees it fail at a server whose workers keep a
// copy of the listener: no process will ever accept the clients that wait.
func TestBacklogOfAKilledServerCatches(t *testing.T) {
	catches(t, "the dead server's port still listens", func(tb testing.TB, s *stage) {
		killWithABacklog(tb, s, 5, "-defect", "worker-keeps-listener")
	})
}

// killWithABacklog: a client converses with a worker, others have connected and wait
// while the listener does not accept; the listener is killed.
func killWithABacklog(tb testing.TB, s *stage, waiting int, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, append(serverArgs, "-leave-workers")...)
	old := s.client(tb, s.clients[0])
	say(tb, old, "before", "before")

	s.strike(tb, fault.Stop{Targets: []rig.Target{srv.Itself()}})
	clients := s.load(tb, s.clients[1], waiting, "-parallel", strconv.Itoa(waiting))
	s.waitingForAccept(tb, waiting)
	s.strike(tb, fault.Kill{Targets: []rig.Target{srv.Itself()}})

	sockets, err := s.host.Sockets()
	require.NoError(tb, err)
	require.Empty(tb, sockets.On(port).In(rig.Listening),
		"the dead server's port still listens: no process will accept the %d clients that wait", waiting)
	r := report(tb, clients)
	assert.Equal(tb, waiting, r.Reset, "each client that waited is told at once: %v", r.Err())
	say(tb, old, "after", "after") // the worker has not noticed

	again, err := srv.Restart()
	require.NoError(tb, err)
	second := s.listening(tb, again, port)
	allServed(tb, s.load(tb, s.clients[1], waiting, "-parallel", strconv.Itoa(waiting)))
	require.NoError(tb, old.Stdin.Close())
	ends(tb, old, 0)
	everythingReaped(tb, second, waiting)
	second.stop(tb)
}

// TestBacklogOfAStoppedListener lets a hundred clients connect while the listener is
// stopped, and continues it: all are served (listen(2), on backlog).
func TestBacklogOfAStoppedListener(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { connectToAStoppedListener(t, s, s.crowd(100)) })
}

// TestBacklogOfAStoppedListenerCatches sees it fail at a server with a backlog of 1.
func TestBacklogOfAStoppedListenerCatches(t *testing.T) {
	catches(t, "the backlog is too small", func(tb testing.TB, s *stage) {
		connectToAStoppedListener(tb, s, 10, "-defect", "small-backlog")
	})
}

func connectToAStoppedListener(tb testing.TB, s *stage, all int, serverArgs ...string) {
	tb.Helper()
	perHost := all / len(s.clients)
	srv := s.serve(tb, serverArgs...)
	stopped := s.strike(tb, fault.Stop{Targets: []rig.Target{srv.Itself()}})
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, perHost, "-parallel", strconv.Itoa(perHost), "-messages", "3"))
	}
	s.waitingForAccept(tb, all)
	workers, err := srv.Descendants()
	require.NoError(tb, err)
	require.Empty(tb, workers, "broken: the listener was to accept no client while it is stopped")
	heal(tb, stopped)
	allServed(tb, clients...)
	everythingReaped(tb, srv, all)
	counts := srv.stop(tb)
	assert.EqualValues(tb, all, counts.Accepted)
}
