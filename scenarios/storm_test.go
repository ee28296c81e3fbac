// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/server/forkserver"
)

// realTime is a real-time signal, of which every one is delivered. The server does
// nothing about it.
const realTime = syscall.Signal(40)

// storms hit a server in different ways, and must not matter to it (signal(7), "Queueing
// and delivery semantics for standard signals" and "Real-time signals"; tgkill(2);
// rt_sigqueueinfo(2)).
var storms = map[string]rig.Storm{
	"SIGCHLD in bursts":   {Signals: []syscall.Signal{syscall.SIGCHLD}, Burst: 100, Pause: time.Millisecond},
	"at single threads":   {Signals: stormSignals, RatePerSecond: 5000, Threads: true},
	"with data":           {Signals: append([]syscall.Signal{realTime}, stormSignals...), RatePerSecond: 5000, Queued: true},
	"threads, with data":  {Signals: append([]syscall.Signal{realTime}, stormSignals...), RatePerSecond: 5000, Queued: true, Threads: true},
	"mixed in bursts":     {Signals: append([]syscall.Signal{syscall.SIGCHLD, syscall.SIGCONT}, stormSignals...), Burst: 20, Pause: 2 * time.Millisecond},
	"as fast as possible": {Signals: append([]syscall.Signal{syscall.SIGCHLD}, stormSignals...)},
}

// TestStorms lets clients converse while each of the storms hits the server: no
// connection is lost, no byte is wrong, and every worker is reaped.
func TestStorms(t *testing.T) {
	inVariants(t, func(t *testing.T, v variant) {
		for name, storm := range storms {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				counts := converseInAStorm(t, newStage(t, v, 2), storm)
				t.Logf("%d accepts were interrupted, %d were not", counts.Interrupted, counts.Accepted)
			})
		}
	})
}

// TestStormsCatch sees every storm end a server that takes an interrupted accept
// for an error.
func TestStormsCatch(t *testing.T) {
	t.Parallel()
	for name, storm := range storms {
		t.Run(name, func(t *testing.T) {
			catches(t, "a signal ended the server", func(tb testing.TB, s *stage) {
				converseInAStorm(tb, s, storm, "-defect", "exit-on-eintr")
			})
		})
	}
}

// converseInAStorm lets clients converse until 500 signals have come. Where
// the server counts no accept that was interrupted, the verdict is broken.
func converseInAStorm(tb testing.TB, s *stage, storm rig.Storm, serverArgs ...string) forkserver.Counts {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	blowing := srv.stormInAccept(tb, s, storm)
	connections := 0
	for connections == 0 || blowing.Sent() < 500 {
		var clients []*rig.Process
		for _, host := range s.clients {
			perLoad := s.crowd(10)
			clients = append(clients, s.load(tb, host, perLoad, "-parallel", "4", "-messages", "2", "-size", "10000"))
			connections += perLoad
		}
		for _, client := range clients {
			if failure := report(tb, client).Err(); failure != nil {
				srv.survives(tb)
				require.NoError(tb, failure, "expected: a storm of signals loses no connection and no byte")
			}
		}
	}
	result, err := blowing.Stop()
	require.NoError(tb, err)
	if info, err := srv.Info(); err != nil || info.State == rig.Zombie {
		srv.survives(tb)
	}
	everythingReaped(tb, srv, connections)
	counts := srv.stop(tb)
	assert.EqualValues(tb, connections, counts.Accepted)
	assert.EqualValues(tb, connections, counts.Reaped)
	requireInterrupted(tb, counts, result)
	return counts
}

// survives fails where a signal has ended the server.
func (srv *server) survives(tb testing.TB) {
	tb.Helper()
	if endsSoon(tb, srv.Process) {
		require.Fail(tb, "a signal ended the server",
			"expected: no signal that a server ignores or catches ends it\nobserved: %v", srv.Stderr.Last(2))
	}
}

// TestStormOfSIGCHLDWithoutChildren floods a server with SIGCHLD while none of its
// children has ended: one converses, and others are served meanwhile (wait(2), WNOHANG).
func TestStormOfSIGCHLDWithoutChildren(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { floodWithSIGCHLD(t, s) })
}

// TestStormOfSIGCHLDWithoutChildrenCatches sees it fail at a server that waits for a
// child whenever SIGCHLD comes.
func TestStormOfSIGCHLDWithoutChildrenCatches(t *testing.T) {
	catches(t, "waits for a child that lives", func(tb testing.TB, s *stage) {
		floodWithSIGCHLD(tb, s, "-defect", "blocking-wait", "-grace", "1ms")
	})
}

func floodWithSIGCHLD(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	flood := s.strike(tb, &fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGCHLD}, Targets: []rig.Target{srv.Itself()}, Burst: 50, Pause: time.Millisecond,
	}})
	// It has no child at all.
	info, err := srv.Info()
	require.NoError(tb, err)
	before, err := s.host.Wakeups(info)
	require.NoError(tb, err)
	require.NoError(tb, rig.Await(tb.Context(), "wake-ups by SIGCHLD", func() (bool, string, error) {
		now, err := s.host.Wakeups(info)
		return now > before+100, "", err
	}))
	old := s.client(tb, s.clients[0])
	say(tb, old, "before", "before")

	// It has one that lives. A server that waits for its end accepts no client.
	second := s.client(tb, s.clients[1])
	_, err = second.Stdin.Write([]byte("me, too\n"))
	require.NoError(tb, err)
	blocked := ""
	require.NoError(tb, rig.Await(tb.Context(), "the second client's reply", func() (bool, string, error) {
		for _, line := range second.Stdout.Lines() {
			if line == "me, too" {
				return true, "", nil
			}
		}
		blocked, err = waitsForAChild(srv.PID)
		return blocked != "", "nothing", err
	}))
	require.Empty(tb, blocked, "the server waits for a child that lives, and accepts no client meanwhile")
	say(tb, old, "after", "after")
	for _, client := range []*rig.Process{old, second} {
		require.NoError(tb, client.Stdin.Close())
		ends(tb, client, 0)
	}
	everythingReaped(tb, srv, 2)
	heal(tb, flood)
	allServed(tb, s.load(tb, s.clients[0], 5))
	everythingReaped(tb, srv, 7)
	assert.EqualValues(tb, 7, srv.stop(tb).Reaped)
}

// waitsForAChild returns the call with which a thread of the process waits for a
// child to end (/proc/PID/task/TID/syscall), if one does. A wait4 with WNOHANG does
// not wait.
func waitsForAChild(pid int) (call string, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		return "", err
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var number int
		var child, status, options uint64 // the child may be -1
		n, _ := fmt.Sscanf(string(text), "%d 0x%x 0x%x 0x%x", &number, &child, &status, &options)
		if n == 4 && number == syscall.SYS_WAIT4 && options&syscall.WNOHANG == 0 {
			return "wait4: " + string(text), nil
		}
	}
	return "", nil
}
