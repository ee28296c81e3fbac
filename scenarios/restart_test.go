// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/client/tcpclient"
	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestRestartWhileOldWorkersServe kills the server and none of its workers: they serve on,
// a new server on the same port serves meanwhile, and the process that takes over the
// workers reaps them (pid_namespaces(7), on orphans; socket(7), SO_REUSEADDR).
func TestRestartWhileOldWorkersServe(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { killTheParentOnly(t, s, s.crowd(20)) })
}

// TestRestartWhileOldWorkersServeCatches sees it fail at a server whose workers
// keep the listener.
func TestRestartWhileOldWorkersServeCatches(t *testing.T) {
	catches(t, "address already in use", func(tb testing.TB, s *stage) {
		killTheParentOnly(tb, s, 4, "-defect", "worker-keeps-listener")
	})
}

func killTheParentOnly(tb testing.TB, s *stage, held int, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, append(serverArgs, "-leave-workers")...)
	old := s.load(tb, s.clients[0], held, "-messages", "3", "-hold")
	talker := s.client(tb, s.clients[0])
	say(tb, talker, "before", "before")
	holding(tb, old)
	workers, err := srv.Descendants()
	require.NoError(tb, err)
	require.Len(tb, workers.Alive(), held+1)

	s.strike(tb, fault.Kill{Targets: []rig.Target{srv.Itself()}})
	orphans, err := s.host.AwaitProcesses(tb.Context(), "orphaned workers", func(now rig.ProcessInfos) bool {
		return len(orphansOf(now, srv)) == held+1
	})
	require.NoError(tb, err, "broken: the workers were to outlive their parent")
	tb.Logf("the workers belong to process %d now", orphansOf(orphans, srv)[0].ParentPID)

	again, err := srv.Restart()
	require.NoError(tb, err)
	second := s.listening(tb, again, port)
	fresh := s.load(tb, s.clients[1], held, "-messages", "3")
	say(tb, talker, "between", "between")
	allServed(tb, fresh)
	say(tb, talker, "after", "after")
	require.NoError(tb, old.Stdin.Close()) // released, they leave
	allServed(tb, old)
	require.NoError(tb, talker.Stdin.Close())
	ends(tb, talker, 0)

	everythingReaped(tb, second, held)
	// And of the old workers nothing is left, not even a zombie.
	zombies, err := s.host.AwaitReaped(tb.Context())
	require.NoError(tb, err)
	assert.Empty(tb, zombies)
	left, err := s.host.AwaitProcesses(tb.Context(), "the end of the old workers", func(now rig.ProcessInfos) bool {
		return len(orphansOf(now, srv, second)) == 0
	})
	require.NoError(tb, err, "%v", left)
	second.stop(tb)
}

// orphansOf returns those processes of the server's host that are neither one of
// these servers nor a child of one.
func orphansOf(all rig.ProcessInfos, servers ...*server) rig.ProcessInfos {
	var found rig.ProcessInfos
	for _, info := range all.Alive() {
		known := info.Name != "server"
		for _, srv := range servers {
			known = known || info.PID == srv.PID || info.ParentPID == srv.PID
		}
		if !known {
			found = append(found, info)
		}
	}
	return found
}

// TestRestartAgainAndAgain kills and restarts the server five times under load, each time
// when it has served a client and converses with another, with all its workers, which
// cannot outlive it (prctl(2), PR_SET_PDEATHSIG; socket(7), SO_REUSEADDR).
func TestRestartAgainAndAgain(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { restartAgainAndAgain(t, s) })
}

// TestRestartAgainAndAgainCatches sees it fail at a server that cannot be restarted
// while connections of the last one are remembered.
func TestRestartAgainAndAgainCatches(t *testing.T) {
	catches(t, "address already in use", func(tb testing.TB, s *stage) {
		restartAgainAndAgain(tb, s, "-defect", "no-reuseaddr")
	})
}

func restartAgainAndAgain(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	const restarts, atOnce, perLoad = 5, 2, 10
	first := s.serve(tb, serverArgs...)
	loads := s.loadUntilTold(tb, perLoad, "-parallel", strconv.Itoa(atOnce), "-messages", "20", "-size", "10000")
	began := time.Now()
	n := 0
	for ; n < restarts || !loads.wereServedAndCutOff(); n++ {
		require.Less(tb, time.Since(began), rig.Patience(), "broken: no connection was served, or none cut off")
		latest := &server{Process: first.Latest(), stage: s}
		latest.awaitEvent(tb, "reaped", func(event) bool { return true })
		// On a slow machine a worker may live shorter than it takes to read all processes.
		_, err := s.host.AwaitSockets(tb.Context(), "a connection in conversation", func(all rig.Sockets) bool {
			return len(all.On(port).In(rig.Established)) > 0
		})
		require.NoError(tb, err)
		s.strike(tb, fault.Kill{Targets: []rig.Target{latest.Itself()}})
		// A worker that was being made has the listener for a moment.
		_, err = s.host.AwaitSockets(tb.Context(), "no listener", func(all rig.Sockets) bool {
			return len(all.On(port).In(rig.Listening)) == 0
		})
		require.NoError(tb, err)
		s.strike(tb, fault.Restart{Process: first.Process})
		_, err = s.host.AwaitListen(tb.Context(), first.Latest(), port)
		require.NoError(tb, err)
	}
	all := loads.sum(tb)
	assert.Zero(tb, all.Mismatched+all.TimedOut+all.Other, "wrong bytes, hanging or unexplained: %v", all.Errors)
	cut := all.Reset + all.ClosedEarly
	assert.Equal(tb, all.Connections, all.OK+all.Refused+cut, "each connection has exactly one end")
	tb.Logf("%d restarts, %d connections: %d served, %d refused, %d cut off (%d by a reset, %d by the end of the stream)",
		n, all.Connections, all.OK, all.Refused, cut, all.Reset, all.ClosedEarly)

	// It has not worn out.
	latest := &server{Process: first.Latest(), stage: s, baseline: first.baseline}
	latest.awaitEvent(tb, "listening", func(event) bool { return true })
	_, err := latest.AwaitDescendants(tb.Context(), "the end of every worker", func(l rig.ProcessInfos) bool { return len(l.Alive()) == 0 })
	require.NoError(tb, err)
	allServed(tb, s.load(tb, s.clients[0], perLoad))
	everythingReaped(tb, latest, perLoad)
	latest.stop(tb)
}

// loads are loads that follow each other on each client host.
type loads struct {
	stop    chan struct{}
	once    sync.Once
	running sync.WaitGroup

	mu      sync.Mutex
	reports []tcpclient.Report
	err     error
}

// loadUntilTold starts a load on each client host, and another one whenever that
// has ended.
func (s *stage) loadUntilTold(tb testing.TB, connections int, args ...string) *loads {
	tb.Helper()
	l := &loads{stop: make(chan struct{})}
	tb.Cleanup(l.end)
	for _, host := range s.clients {
		l.running.Go(func() {
			for l.goOn() {
				l.add(loadOnce(tb.Context(), host, s.loadCommand(connections, args...)))
			}
		})
	}
	return l
}

func loadOnce(ctx context.Context, host *rig.Host, c rig.Command) (tcpclient.Report, error) {
	client, err := host.Start(c)
	if err != nil {
		return tcpclient.Report{}, err
	}
	return awaitReport(ctx, client)
}

func (l *loads) add(r tcpclient.Report, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reports, l.err = append(l.reports, r), errors.Join(l.err, err)
}

// wereServedAndCutOff says whether both has happened to connections so far.
func (l *loads) wereServedAndCutOff() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	served, cut := 0, 0
	for _, r := range l.reports {
		served, cut = served+r.OK, cut+r.Reset+r.ClosedEarly
	}
	return served > 0 && cut > 0
}

// goOn says whether another load is wanted.
func (l *loads) goOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.stop:
		return false
	default:
		return l.err == nil
	}
}

// end waits for the loads that are under way, and starts no other.
func (l *loads) end() {
	l.once.Do(func() { close(l.stop) })
	l.running.Wait()
}

// sum ends the loads and returns what all of them report.
func (l *loads) sum(tb testing.TB) (all tcpclient.Report) {
	tb.Helper()
	l.end()
	require.NoError(tb, l.err)
	for _, r := range l.reports {
		all.Connections += r.Connections
		all.OK += r.OK
		all.Refused += r.Refused
		all.Reset += r.Reset
		all.ClosedEarly += r.ClosedEarly
		all.Mismatched += r.Mismatched
		all.TimedOut += r.TimedOut
		all.Other += r.Other
		all.Errors = append(all.Errors, r.Errors...)
	}
	return all
}
