package scenarios

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestOutputClosed closes the reading end of the server's output while clients
// converse: whoever read its log has gone. Nobody is to notice.
func TestOutputClosed(t *testing.T) {
	for _, stream := range []fault.Stream{fault.Stdout, fault.Stderr} {
		t.Run(stream.String(), func(t *testing.T) {
			everywhere(t, func(t *testing.T, v variant) {
				s := newStage(t, v, 2)
				srv := s.serve(t)
				servedWithClosedOutput(t, s, srv, stream)
				everythingReaped(t, srv, 40)
				endsInOrder(t, srv)
			})
		})
	}
}

// TestOutputClosedCatches sees the story fail at a server that leaves SIGPIPE alone.
func TestOutputClosedCatches(t *testing.T) {
	t.Parallel()
	catches(t, "a closed stderr ended the server", func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, 2)
		servedWithClosedOutput(tb, s, s.serve(tb, "-defect", "dies-of-log"), fault.Stderr)
	})
}

func servedWithClosedOutput(tb testing.TB, s *stage, srv *server, stream fault.Stream) {
	tb.Helper()
	held := s.load(tb, s.clients[0], 20, "-parallel", "4", "-messages", "20")
	_, err := fault.Apply(tb.Context(), s.lab, fault.ClosedOutput{Of: srv.Process, Stream: stream})
	require.NoError(tb, err)
	later := s.load(tb, s.clients[1], 20, "-parallel", "4", "-messages", "3")
	before, after := report(tb, held).Err(), report(tb, later).Err()
	if after != nil && endsSoon(tb, srv.Process) {
		exit, err := srv.Wait(tb.Context())
		require.NoError(tb, err)
		require.Fail(tb, "a closed "+stream.String()+" ended the server", "observed: %v", exit)
	}
	require.NoError(tb, before)
	require.NoError(tb, after)
}

// TestOutputFull lets nobody read the server's log, and its pipe be full, while
// clients come. They are served all the same, and what happened is in the log
// once it is read again.
func TestOutputFull(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		before := s.load(t, s.clients[0], 20, "-parallel", "4", "-messages", "20")
		full, err := fault.Apply(t.Context(), s.lab, fault.FullOutput{Of: srv.Process})
		require.NoError(t, err)
		read := srv.Stderr.Total()
		after := s.load(t, s.clients[1], 20, "-parallel", "4", "-messages", "3")
		allServed(t, before, after)
		everythingReaped(t, srv, 40)
		require.Equal(t, read, srv.Stderr.Total(), "broken: the log was read although it was full")

		require.NoError(t, full.Heal(t.Context()))
		counts := srv.stop(t)
		assert.EqualValues(t, 40, counts.Accepted)
		assert.EqualValues(t, 40, counts.Reaped)
		assert.Len(t, srv.events("accepted"), 40, "no event is lost")
		assert.Len(t, srv.events("reaped"), 40)
	})
}

// TestOutputFullAtTheEnd stops a server whose log nobody reads.
func TestOutputFullAtTheEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		stoppedWithFullOutput(t, newStage(t, v, 1))
	})
}

// TestOutputFullCatches sees the story fail at a server that waits for the reader
// of its log.
func TestOutputFullCatches(t *testing.T) {
	t.Parallel()
	catches(t, "by its grace of", func(tb testing.TB) {
		stoppedWithFullOutput(tb, newStage(tb, variant{rig.IPv4, "fork"}, 1), "-defect", "blocks-on-log")
	})
}

func stoppedWithFullOutput(tb testing.TB, s *stage, args ...string) {
	tb.Helper()
	srv := s.serve(tb, args...)
	_, err := fault.Apply(tb.Context(), s.lab, fault.FullOutput{Of: srv.Process, Stream: fault.Stderr})
	require.NoError(tb, err)
	allServed(tb, s.load(tb, s.clients[0], 1))
	endsInOrder(tb, srv)
}

// endsInOrder stops a server whose last words nobody hears.
func endsInOrder(tb testing.TB, srv *server) {
	tb.Helper()
	exit, err := srv.Stop(tb.Context())
	require.NoError(tb, err)
	assert.True(tb, exit.Success(), "the server ended with %v", exit)
}
