// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestOutputClosed closes the reading end of the server's output while clients converse,
// as when its log's reader has ended: clients are served on (pipe(7), EPIPE and SIGPIPE).
func TestOutputClosed(t *testing.T) {
	for _, stream := range []fault.Stream{fault.Stdout, fault.Stderr} {
		t.Run(stream.String(), func(t *testing.T) {
			everywhere(t, 2, func(t *testing.T, s *stage) {
				srv := s.serve(t)
				servedWithClosedOutput(t, s, srv, stream)
				everythingReaped(t, srv, 2*clientsOfALog)
				endsInOrder(t, srv)
			})
		})
	}
}

// clientsOfALog is how many clients come before, and after, a log fails.
const clientsOfALog = 5

// TestOutputClosedCatches sees the story fail at a server that leaves SIGPIPE alone.
func TestOutputClosedCatches(t *testing.T) {
	catches(t, "a closed stderr ended the server", func(tb testing.TB, s *stage) {
		servedWithClosedOutput(tb, s, s.serve(tb, "-defect", "dies-of-log"), fault.Stderr)
	})
}

func servedWithClosedOutput(tb testing.TB, s *stage, srv *server, stream fault.Stream) {
	tb.Helper()
	held := s.loadOfALog(tb, 0, "-messages", "20")
	_, err := fault.Apply(tb.Context(), s.lab, fault.ClosedOutput{Of: srv.Process, Stream: stream})
	require.NoError(tb, err)
	later := s.loadOfALog(tb, 1)
	before, after := report(tb, held).Err(), report(tb, later).Err()
	if after != nil && endsSoon(tb, srv.Process) {
		exit, err := srv.Wait(tb.Context())
		require.NoError(tb, err)
		require.Fail(tb, "a closed "+stream.String()+" ended the server", "observed: %v", exit)
	}
	require.NoError(tb, before)
	require.NoError(tb, after)
}

func (s *stage) loadOfALog(tb testing.TB, client int, args ...string) *rig.Process {
	tb.Helper()
	return s.load(tb, s.clients[client], clientsOfALog, append([]string{"-parallel", "2"}, args...)...)
}

// TestOutputFull leaves the server's log unread, and its pipe full (pipe(7), "Pipe
// capacity"), while clients come. They are served all the same, and what happened is in
// the log once it is read again.
func TestOutputFull(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { servedWithFullOutput(t, s) })
}

func servedWithFullOutput(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	const all = 2 * clientsOfALog
	srv := s.serve(tb, serverArgs...)
	before := s.loadOfALog(tb, 0, "-messages", "20")
	full := s.strike(tb, fault.FullOutput{Of: srv.Process})
	read := srv.Stderr.Total()
	after := s.loadOfALog(tb, 1)
	srv.servesMeanwhile(tb, after, "the log is full")
	allServed(tb, before)
	everythingReaped(tb, srv, all)
	require.Equal(tb, read, srv.Stderr.Total(), "broken: the log was read although it was full")

	heal(tb, full)
	counts := srv.stop(tb)
	assert.EqualValues(tb, all, counts.Accepted)
	assert.EqualValues(tb, all, counts.Reaped)
	assert.Len(tb, srv.events("accepted"), all, "no event is lost")
	assert.Len(tb, srv.events("reaped"), all)
}

// TestOutputFullAtTheEnd stops a server whose log is full: it ends all the same.
func TestOutputFullAtTheEnd(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { stoppedWithFullOutput(t, s) })
}

// TestOutputFullCatches sees both stories fail at a server that waits for the reader of
// its log.
func TestOutputFullCatches(t *testing.T) {
	t.Parallel()
	for words, story := range map[string]func(testing.TB, *stage, ...string){
		"wait for accept while the log is full":  servedWithFullOutput,
		"SIGTERM does not end the server, whose": stoppedWithFullOutput,
	} {
		t.Run(words, func(t *testing.T) {
			catches(t, words, func(tb testing.TB, s *stage) { story(tb, s, "-defect", "blocks-on-log") })
		})
	}
}

func stoppedWithFullOutput(tb testing.TB, s *stage, args ...string) {
	tb.Helper()
	srv := s.serve(tb, args...)
	s.strike(tb, fault.FullOutput{Of: srv.Process, Stream: fault.Stderr})
	allServed(tb, s.load(tb, s.clients[0], 1))
	require.NoError(tb, srv.Signal(syscall.SIGTERM))
	sleeps := false
	rest := s.host.WatchRest()
	require.NoError(tb, rig.Await(tb.Context(), "the end of the server", func() (bool, string, error) {
		if !srv.Running() {
			return true, "", nil
		}
		quiet, _, err := rest.Look()
		sleeps = quiet >= rig.Scaled(rig.Settling)
		return sleeps, "asleep for " + quiet.String(), err
	}))
	if sleeps && srv.Running() {
		require.Fail(tb, "SIGTERM does not end the server, whose log is full",
			"expected: the end does not wait for the log's reader\nobserved: it sleeps for %v", rig.Scaled(rig.Settling))
	}
	endsInOrder(tb, srv)
}

// endsInOrder stops a server whose last words have no reader.
func endsInOrder(tb testing.TB, srv *server) {
	tb.Helper()
	exit, err := srv.Stop(tb.Context())
	require.NoError(tb, err)
	assert.True(tb, exit.Success(), "the server ended with %v", exit)
}
