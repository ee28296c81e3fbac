// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

const (
	hosts = 4
	crowd = 120 // clients of all hosts together, where workers are forked
)

// TestReapingAfterClientsLeave lets 120 clients from 4 hosts converse and leave: every
// worker is waited for (wait(2), "NOTES", on zombies).
func TestReapingAfterClientsLeave(t *testing.T) {
	everywhere(t, hosts, func(t *testing.T, s *stage) { clientsLeave(t, s, s.crowd(crowd)) })
}

// TestReapingAfterClientsAreKilled kills 120 clients in mid-conversation at the same
// instant, so that their workers end together and SIGCHLD coalesces (signal(7),
// "Queueing and delivery semantics for standard signals"). On each host two processes
// have half of the connections each.
func TestReapingAfterClientsAreKilled(t *testing.T) {
	everywhere(t, hosts, func(t *testing.T, s *stage) { clientsAreKilled(t, s, s.crowd(crowd)) })
}

// TestReapingCatches sees both stories fail at a server that does not reap.
func TestReapingCatches(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(testing.TB, *stage, int, ...string){
		"leave": clientsLeave, "killed": clientsAreKilled,
	} {
		t.Run(name, func(t *testing.T) {
			catches(t, "12 zombies of 12 workers stay", func(tb testing.TB, s *stage) {
				story(tb, s, 12, "-defect", "no-reap", "-grace", "1ms")
			})
		})
	}
}

func clientsLeave(tb testing.TB, s *stage, clients int, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	s.crowdConversesAndLeaves(tb, clients)
	everythingReaped(tb, srv, clients)
	assert.EqualValues(tb, clients, srv.stop(tb).Reaped)
}

// crowdConversesAndLeaves shares the clients out among the hosts.
func (s *stage) crowdConversesAndLeaves(tb testing.TB, clients int) {
	tb.Helper()
	each := strconv.Itoa(clients / len(s.clients))
	var loads []*rig.Process
	for _, host := range s.clients {
		loads = append(loads, s.load(tb, host, clients/len(s.clients), "-parallel", each, "-messages", "3"))
	}
	allServed(tb, loads...)
}

func clientsAreKilled(tb testing.TB, s *stage, clients int, serverArgs ...string) {
	tb.Helper()
	const processes = 2 // on each host
	srv := s.serve(tb, serverArgs...)
	var loads []*rig.Process
	var targets []rig.Target
	for _, host := range s.clients {
		loads = append(loads, s.loads(tb, host, processes, clients/len(s.clients), "-hold")...)
	}
	for _, load := range loads {
		targets = append(targets, load.Itself())
	}
	holding(tb, loads...)
	workers, err := srv.Descendants()
	require.NoError(tb, err)
	require.Len(tb, workers.Alive(), clients, "one worker for each client in conversation")

	killed, span, err := s.lab.KillTogether(tb.Context(), targets...)
	require.NoError(tb, err)
	require.Equal(tb, processes*len(s.clients), killed)
	tb.Logf("killed %d processes within %v", killed, span)
	everythingReaped(tb, srv, clients)

	// And the server serves on.
	allServed(tb, s.load(tb, s.clients[0], 1))
	everythingReaped(tb, srv, clients+1)
	assert.EqualValues(tb, clients+1, srv.stop(tb).Reaped)
}

// everythingReaped checks that of all the workers of a server whose clients
// have left nothing remains: no process, no zombie, no connection, no descriptor.
func everythingReaped(tb testing.TB, srv *server, workers int) {
	tb.Helper()
	workersEnd(tb, srv)
	zombies, err := srv.AwaitReaped(tb.Context())
	require.NoError(tb, err)
	if len(zombies) > 0 {
		require.Fail(tb, fmt.Sprintf("%d zombies of %d workers stay %v after the last client left", len(zombies), workers, rig.Scaled(rig.Settling)),
			"expected: the server waits for every worker (waitpid in a loop at SIGCHLD, which is delivered once for several children)\nobserved: %v, sleeping; %v", srv, zombies)
	}
	_, err = srv.stage.host.AwaitSockets(tb.Context(), "no connection held by the server", func(all rig.Sockets) bool {
		return len(all.On(port).In(rig.Established, rig.CloseWait, rig.FinWait1, rig.FinWait2, rig.LastAck, rig.Closing)) == 0
	})
	require.NoError(tb, err)
	descriptorsSteady(tb, srv)
}

// workersEnd checks that every worker ends once its client has left. It fails where
// workers without a connection have used more processor time than an end takes, or
// sleep for the settling time.
func workersEnd(tb testing.TB, srv *server) {
	tb.Helper()
	toEnd := 50 * time.Millisecond // of processor time
	if srv.stage.worker == "exec" {
		toEnd = 150 * time.Millisecond // it may still start
	}
	var alive rig.ProcessInfos
	var left time.Time
	before := map[int]time.Duration{}
	stays := false
	require.NoError(tb, rig.Await(tb.Context(), "the end of every worker", func() (bool, string, error) {
		all, err := srv.Descendants()
		if alive = all.Alive(); err != nil || len(alive) == 0 {
			return err == nil, "", err
		}
		sockets, err := srv.stage.host.Sockets()
		if err != nil {
			return false, "", err
		}
		if open := sockets.On(port); len(open) > len(open.In(rig.Listening, rig.TimeWait)) {
			return false, alive.String(), nil
		}
		if left.IsZero() {
			left = time.Now()
		}
		asleep := true
		for _, worker := range alive {
			asleep = asleep && worker.State == rig.Sleeping
			if _, known := before[worker.PID]; !known {
				before[worker.PID] = worker.CPUTime
			}
			stays = stays || worker.CPUTime-before[worker.PID] > rig.Scaled(toEnd)
		}
		stays = stays || asleep && time.Since(left) > rig.Scaled(rig.Settling)
		return stays, alive.String(), nil
	}))
	if stays {
		require.Fail(tb, fmt.Sprintf("%d workers stay although their clients have left", len(alive)),
			"expected: a worker ends when a read returns 0 or fails with ECONNRESET\nobserved: %v", alive)
	}
}

// descriptorsSteady checks that the server has as many sockets and pipes open as before its
// first connection. What else it has is its runtime's, which opens what its poller needs, and
// now and then a file of /sys to count the processors.
func descriptorsSteady(tb testing.TB, srv *server) {
	tb.Helper()
	count := func(fds rig.FDs) int { return len(fds.Of(rig.FDSocket)) + len(fds.Of(rig.FDPipe)) }
	err := rig.Await(tb.Context(), "the server's descriptors at their baseline", func() (bool, string, error) {
		now, err := srv.FDs()
		return count(now) == count(srv.baseline), now.String(), err
	})
	require.NoError(tb, err, "expected: the parent closes each connection; baseline: %v", srv.baseline)
}
