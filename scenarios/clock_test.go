// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestClockJumps restarts the server with its monotonic clocks a thousand hours
// ahead, and then back: no conversation with a new server ends early because of
// that, none lasts for ever, and an old worker serves on.
func TestClockJumps(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { clockJumps(t, s, s.serve(t, jumpArgs...)) })
}

// jumpArgs let an idle conversation end after an hour of the server's clock.
var jumpArgs = []string{"-leave-workers", "-idle", "1h"}

// TestClockJumpsCatches sees the story fail at a server that keeps a time since boot over
// a restart.
func TestClockJumpsCatches(t *testing.T) {
	catches(t, "since boot, but the last start was after", func(tb testing.TB, s *stage) {
		command := rig.Program("server", s.serverArgs(s.address, append(jumpArgs, "-defect", "clock-from-boot")...)...)
		command.Env = []string{"STATE_FILE=" + filepath.Join(tb.TempDir(), "state")}
		clockJumps(tb, s, s.listening(tb, s.host.MustStart(command), port))
	})
}

func clockJumps(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	talker := s.client(tb, s.clients[0])
	say(tb, talker, "before", "before")
	for _, jump := range []time.Duration{1000 * time.Hour, -1000 * time.Hour} {
		s.strike(tb, fault.ClockJump{Process: srv.Process, By: jump})
		second := s.listening(tb, srv.Latest(), port)
		inItsTime(tb, second.Process, jump > 0)
		other := s.client(tb, s.clients[1])
		say(tb, other, "now", "now")
		allServed(tb, s.load(tb, s.clients[0], 5, "-messages", "3"))
		say(tb, other, "later", "later")
		say(tb, talker, "meanwhile", "meanwhile")
		require.NoError(tb, other.Stdin.Close())
		ends(tb, other, 0)
		_, err := second.AwaitDescendants(tb.Context(), "the end of every new worker", func(l rig.ProcessInfos) bool { return len(l) == 0 })
		require.NoError(tb, err)
	}
	require.NoError(tb, talker.Stdin.Close())
	ends(tb, talker, 0)
	latest := &server{Process: srv.Latest(), stage: s, baseline: srv.baseline}
	everythingReaped(tb, latest, 6)
	latest.stop(tb)
}

// inItsTime checks whether the process has clocks of its own.
func inItsTime(tb testing.TB, p *rig.Process, own bool) {
	tb.Helper()
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/time", p.PID))
	require.NoError(tb, err)
	ours, err := os.Readlink("/proc/self/ns/time")
	require.NoError(tb, err)
	require.Equal(tb, own, its != ours, "broken: the time of %v is %s, ours is %s", p, its, ours)
}
