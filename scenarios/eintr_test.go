// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/server/forkserver"
)

// stormSignals are caught by the reference server and do nothing there but
// interrupt it.
var stormSignals = []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

// TestEINTRInAccept storms the listener while clients connect and converse: accept is
// called again after EINTR (signal(7), "Interruption of system calls and library
// functions by signal handlers"; accept(2), "ERRORS").
func TestEINTRInAccept(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		counts := conversationsInAListenerStorm(t, s, s.crowd(100))
		t.Logf("%d of %d accepts were interrupted", counts.Interrupted, counts.Interrupted+counts.Accepted)
	})
}

// TestEINTRInAcceptCatches sees the check fail at a server that takes an
// interrupted accept for an error.
func TestEINTRInAcceptCatches(t *testing.T) {
	catches(t, "a signal during accept ended the listener", func(tb testing.TB, s *stage) {
		conversationsInAListenerStorm(tb, s, 100, "-defect", "exit-on-eintr")
	})
}

// TestEINTRInWorkers storms the workers while they converse, until a hundred
// signals have reached them. SIGSTOP and SIGCONT need no handler: they cut short
// a write that has sent a part (signal(7), "Interruption of system calls and library
// functions by stop signals").
func TestEINTRInWorkers(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { conversationsInAWorkerStorm(t, s, 100) })
}

// TestEINTRInWorkersCatches sees the story fail at a server whose workers take a write
// that was cut short for a whole one. Not every signal meets a write, so it may take more.
func TestEINTRInWorkersCatches(t *testing.T) {
	catches(t, "expected: a storm of signals at the workers loses no byte", func(tb testing.TB, s *stage) {
		conversationsInAWorkerStorm(tb, s, 5000, "-defect", "short-write")
	})
}

func conversationsInAWorkerStorm(tb testing.TB, s *stage, signals int, serverArgs ...string) {
	tb.Helper()
	s.smallBuffers(tb) // workers block in write
	srv := s.serve(tb, serverArgs...)
	storm, err := s.lab.StartStorm(rig.Storm{
		Signals:       []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT},
		Targets:       []rig.Target{srv.Workers()},
		RatePerSecond: 2000,
	})
	require.NoError(tb, err)
	workers := 0
	// Where it takes longer to find a worker than that lives, later ones live longer.
	for messages := 1; storm.Sent() < signals; messages *= 2 {
		var clients []*rig.Process
		for _, host := range s.clients {
			// Half-closed, so that the worker ends even where a part of its reply is lost.
			clients = append(clients, s.load(tb, host, 2, "-parallel", "2", "-leave-early", "-size", transfer, "-messages", strconv.Itoa(messages)))
			workers += 2
		}
		for _, client := range clients {
			require.NoError(tb, report(tb, client).Err(), "expected: a storm of signals at the workers loses no byte")
		}
	}
	result, err := storm.Stop()
	require.NoError(tb, err)
	tb.Logf("%v, %d conversations", result, workers)
	everythingReaped(tb, srv, workers)
}

// conversationsInAListenerStorm checks that during a storm on the listener no
// connection is lost and no byte is wrong, and that accept really was
// interrupted: otherwise the verdict is broken.
func conversationsInAListenerStorm(tb testing.TB, s *stage, connections int, serverArgs ...string) forkserver.Counts {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	storm := srv.stormInAccept(tb, s, rig.Storm{Signals: stormSignals, RatePerSecond: 5000})
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, connections/len(s.clients), "-parallel", "4", "-messages", "2"))
	}
	var failures []error
	for _, client := range clients {
		failures = append(failures, report(tb, client).Err())
	}
	result, err := storm.Stop()
	require.NoError(tb, err)
	if errors.Join(failures...) != nil && endsSoon(tb, srv.Process) {
		require.Fail(tb, "a signal during accept ended the listener",
			"expected: accept is called again after EINTR (accept(2))\nobserved: %v", srv.Stderr.Last(2))
	}
	for _, failure := range failures {
		require.NoError(tb, failure, "expected: a storm of signals loses no connection and no byte")
	}
	counts := srv.stop(tb)
	require.EqualValues(tb, connections, counts.Accepted)
	requireInterrupted(tb, counts, result)
	return counts
}

// stormInAccept lets the storm hit the server, which has no client yet, and returns when
// accept has been interrupted or the server has ended: how often signals meet accept later, among
// clients, depends on who gets a processor.
func (srv *server) stormInAccept(tb testing.TB, s *stage, of rig.Storm) *rig.RunningStorm {
	tb.Helper()
	of.Targets = []rig.Target{srv.Itself()}
	first := rig.ThreadUse{}
	require.NoError(tb, rig.Await(tb.Context(), "the server asleep in accept", func() (_ bool, seen string, err error) {
		first, err = srv.firstThread(s)
		return !first.Wants, "awake", err
	}))
	storm, err := s.lab.StartStorm(of)
	require.NoError(tb, err)
	require.NoError(tb, rig.Await(tb.Context(), "accept to be interrupted", func() (bool, string, error) {
		// One sleep may have been on its way to accept. Each of the others ended with EINTR.
		now, err := srv.firstThread(s)
		if errors.Is(err, os.ErrNotExist) {
			return true, "", nil
		}
		return now.Sleeps > first.Sleeps+2, fmt.Sprintf("%d sleeps", now.Sleeps-first.Sleeps), err
	}))
	return storm
}

// firstThread returns what the thread of the server that accepts, its first one, had of the
// processors, or os.ErrNotExist when the server has ended.
func (srv *server) firstThread(s *stage) (rig.ThreadUse, error) {
	info, err := srv.Info()
	if err != nil {
		return rig.ThreadUse{}, err
	}
	threads, err := s.host.Threads(info)
	if err != nil {
		return rig.ThreadUse{}, err
	}
	if info.State == rig.Zombie || len(threads) == 0 {
		return rig.ThreadUse{}, os.ErrNotExist
	}
	return threads[0], nil
}

// requireInterrupted is broken where no accept was interrupted but by the SIGTERM that
// ended the server.
func requireInterrupted(tb testing.TB, counts forkserver.Counts, storm rig.StormResult) {
	tb.Helper()
	require.Greater(tb, counts.Interrupted, uint64(1), "broken: %v, but no accept was interrupted", storm)
}

// endsSoon says whether the process has ended or is about to: when its clients
// notice, the rig may not have waited for it yet.
func endsSoon(tb testing.TB, p *rig.Process) bool {
	ctx, cancel := context.WithTimeout(tb.Context(), rig.Scaled(rig.Settling))
	defer cancel()
	_, err := p.Wait(ctx)
	return err == nil
}
