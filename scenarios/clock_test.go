package scenarios

import (
	"fmt"
	"os"
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
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		// An idle conversation would end after an hour of the server's clock.
		srv := s.serve(t, "-leave-workers", "-idle", "1h")
		talker := s.client(t, s.clients[0])
		say(t, talker, "before", "before")
		for _, jump := range []time.Duration{1000 * time.Hour, -1000 * time.Hour} {
			s.strike(t, fault.ClockJump{Process: srv.Process, By: jump})
			second := s.listening(t, srv.Latest(), port)
			inItsTime(t, second.Process, jump > 0)
			other := s.client(t, s.clients[1])
			say(t, other, "now", "now")
			allServed(t, s.load(t, s.clients[0], 20, "-messages", "3"))
			say(t, other, "later", "later")
			say(t, talker, "meanwhile", "meanwhile")
			require.NoError(t, other.Stdin.Close())
			ends(t, other, 0)
			_, err := second.AwaitDescendants(t.Context(), "the end of every new worker", func(l rig.ProcessInfos) bool { return len(l) == 0 })
			require.NoError(t, err)
		}
		require.NoError(t, talker.Stdin.Close())
		ends(t, talker, 0)
		latest := &server{Process: srv.Latest(), stage: s, baseline: srv.baseline}
		everythingReaped(t, latest, 21)
		latest.stop(t)
	})
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
