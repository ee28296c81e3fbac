package scenarios

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

const (
	hosts          = 8
	clientsPerHost = 25
	crowd          = hosts * clientsPerHost
)

// TestReapingAfterClientsLeave lets 200 clients from 8 hosts converse and leave.
func TestReapingAfterClientsLeave(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, hosts)
		srv := s.serve(t)
		crowdConversesAndLeaves(t, s)
		everythingReaped(t, srv, crowd)
		assert.EqualValues(t, crowd, srv.stop(t).Reaped)
	})
}

// TestReapingAfterClientsAreKilled kills 200 clients in mid-conversation at the
// same instant, so that their workers end together and SIGCHLD coalesces. On
// each host five clients have five connections each.
func TestReapingAfterClientsAreKilled(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, hosts)
		srv := s.serve(t)
		var clients []*rig.Process
		var targets []rig.Target
		for _, host := range s.clients {
			clients = append(clients, s.loads(t, host, 5, clientsPerHost, "-hold")...)
		}
		for _, client := range clients {
			targets = append(targets, client.Itself())
		}
		holding(t, clients...)
		workers, err := srv.Descendants()
		require.NoError(t, err)
		require.Len(t, workers.Alive(), crowd, "one worker for each client in conversation")

		killed, span, err := s.lab.KillTogether(t.Context(), targets...)
		require.NoError(t, err)
		require.Equal(t, 5*hosts, killed)
		t.Logf("killed %d processes within %v", killed, span)
		everythingReaped(t, srv, crowd)
		// And the server serves on.
		allServed(t, s.load(t, s.clients[0], 1))
		everythingReaped(t, srv, crowd+1)
		assert.EqualValues(t, crowd+1, srv.stop(t).Reaped)
	})
}

// TestReapingCatches sees the check fail at a server that does not reap.
func TestReapingCatches(t *testing.T) {
	t.Parallel()
	catches(t, "200 zombies of 200 workers stay", func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, hosts)
		srv := s.serve(tb, "-defect", "no-reap", "-grace", "1ms")
		crowdConversesAndLeaves(tb, s)
		everythingReaped(tb, srv, crowd)
	})
}

func crowdConversesAndLeaves(tb testing.TB, s *stage) {
	tb.Helper()
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, clientsPerHost, "-parallel", strconv.Itoa(clientsPerHost), "-messages", "3"))
	}
	allServed(tb, clients...)
}

// everythingReaped checks that of all the workers of a server whose clients
// have left nothing remains: no process, no zombie, no connection, no descriptor.
func everythingReaped(tb testing.TB, srv *server, workers int) {
	tb.Helper()
	_, err := srv.AwaitDescendants(tb.Context(), "the end of every worker", func(l rig.ProcessInfos) bool {
		return len(l.Alive()) == 0
	})
	require.NoError(tb, err)
	zombies, err := srv.AwaitReaped(tb.Context())
	require.NoError(tb, err)
	if len(zombies) > 0 {
		assert.Fail(tb, fmt.Sprintf("%d zombies of %d workers stay %v after the last client left", len(zombies), workers, rig.Scaled(rig.Settling)),
			"expected: the server waits for every worker (waitpid in a loop at SIGCHLD, which is delivered once for several children)\nobserved: %v, sleeping; %v", srv, zombies)
	}
	_, err = srv.stage.host.AwaitSockets(tb.Context(), "no connection held by the server", func(all rig.Sockets) bool {
		return len(all.On(port).In(rig.Established, rig.CloseWait, rig.FinWait1, rig.FinWait2, rig.LastAck, rig.Closing)) == 0
	})
	require.NoError(tb, err)
	descriptorsSteady(tb, srv)
}

// descriptorsSteady checks that the server has open what it had before its
// first connection. Anonymous descriptors are left out: they are those of a
// runtime's poller, which may open them when it first needs them.
func descriptorsSteady(tb testing.TB, srv *server) {
	tb.Helper()
	count := func(fds rig.FDs) int { return len(fds) - len(fds.Of(rig.FDAnon)) }
	err := rig.Await(tb.Context(), "the server's descriptors at their baseline", func() (bool, string, error) {
		now, err := srv.FDs()
		return count(now) == count(srv.baseline), now.String(), err
	})
	require.NoError(tb, err, "expected: the parent closes each connection; baseline: %v", srv.baseline)
}
