// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/kerneltest"
	"forkrig/rig"
	"forkrig/rig/fault"
)

// nuisance is what a client does that misbehaves. It holds a worker and costs other
// clients nothing.
type nuisance struct {
	name string
	make func(fault.Clients) (fault.Fault, *fault.Clients)
	// stopped says that the server is stopped until the client has done it: all of it is there
	// when the worker first reads.
	stopped bool
	// A server with this defect fails the story with these words.
	defect, words string
}

var misbehaving = []nuisance{
	{"never reads", func(c fault.Clients) (fault.Fault, *fault.Clients) { // RFC 9293, section 3.8.6.1, zero-window probes
		f := &fault.NeverRead{Clients: c}
		return f, &f.Clients
	}, false, "serial", "wait for accept while a client never reads"},
	{"half-closes", func(c fault.Clients) (fault.Fault, *fault.Clients) { // RFC 9293, section 3.6.1
		f := &fault.HalfClose{Clients: c}
		return f, &f.Clients
	}, true, "drop-on-half-close", "all that was sent is answered"},
	{"sends urgent data", func(c fault.Clients) (fault.Fault, *fault.Clients) { // RFC 6093; tcp(7), MSG_OOB
		f := &fault.Urgent{Clients: c}
		return f, &f.Clients
	}, false, "drop-first-byte", "all that was sent is answered"},
	{"sends a byte a second", func(c fault.Clients) (fault.Fault, *fault.Clients) { // a trickle, as of Slowloris
		f := &fault.Trickle{Clients: c}
		return f, &f.Clients
	}, false, "serial", "wait for accept while a client sends a byte a second"},
}

// TestMisbehaving lets a client misbehave while others converse. What the others get is
// right, and when the nuisance ends nothing remains of it.
func TestMisbehaving(t *testing.T) {
	for _, n := range misbehaving {
		t.Run(n.name, func(t *testing.T) {
			everywhere(t, 2, func(t *testing.T, s *stage) { othersAreServed(t, s, n) })
		})
	}
}

// TestMisbehavingCatches sees each story fail at a server that is wrong.
func TestMisbehavingCatches(t *testing.T) {
	t.Parallel()
	for _, n := range misbehaving {
		t.Run(n.name, func(t *testing.T) {
			catches(t, n.words, func(tb testing.TB, s *stage) {
				othersAreServed(tb, s, n, "-defect", n.defect, "-grace", "1ms")
			})
		})
	}
}

func othersAreServed(tb testing.TB, s *stage, n nuisance, serverArgs ...string) {
	tb.Helper()
	if n.name == "never reads" {
		kerneltest.NeedsSteadyBuffer(tb)
	}
	const nuisances, others = 1, 5
	srv := s.serve(tb, serverArgs...)
	f, clients := n.make(fault.Clients{From: s.clients[0], To: s.address, Count: nuisances})
	if n.stopped {
		require.NoError(tb, srv.Freeze(tb.Context()))
	}
	applied := s.strike(tb, f)
	if n.stopped {
		require.NoError(tb, srv.Thaw())
	}
	srv.servesMeanwhile(tb, s.load(tb, s.clients[1], others, "-parallel", "5", "-messages", "3"), "a client "+n.name)
	heal(tb, applied)
	for _, c := range clients.Connections() {
		require.NoError(tb, c.Err)
		answered := c.Received
		if _, urgent := f.(*fault.Urgent); urgent {
			answered++ // the urgent byte is not in the stream
		}
		assert.Equal(tb, c.Sent, answered, "all that was sent is answered")
	}
	everythingReaped(tb, srv, nuisances+others)
	assert.EqualValues(tb, nuisances+others, srv.stop(tb).Reaped)
}

// TestFullBacklog fills the backlog of a listener that is stopped. Who finds it full
// waits, and is served with all others when the listener goes on.
func TestFullBacklog(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { fullBacklog(t, s, s.serve(t, "-backlog", strconv.Itoa(backlog))) })
}

const backlog = 8

// TestFullBacklogCatches sees the story fail at a server that gives up when its backlog
// was full.
func TestFullBacklogCatches(t *testing.T) {
	catches(t, "a full backlog ended the server", func(tb testing.TB, s *stage) {
		fullBacklog(tb, s, s.serve(tb, "-backlog", strconv.Itoa(backlog), "-defect", "exit-on-full-backlog"))
	})
}

func fullBacklog(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	require.NoError(tb, srv.Freeze(tb.Context()))
	f := &fault.FullBacklog{Clients: fault.Clients{From: s.clients[0], To: s.address, Count: 3}}
	full, err := fault.Apply(tb.Context(), s.lab, f)
	require.NoError(tb, err)
	load := s.load(tb, s.clients[1], 5, "-parallel", "5")
	require.NoError(tb, srv.Thaw())
	served := report(tb, load).Err()
	if served != nil && endsSoon(tb, srv.Process) {
		require.Fail(tb, "a full backlog ended the server", "%v", srv.Stderr.Last(2))
	}
	require.NoError(tb, served)
	workers := len(f.Connections())
	assert.GreaterOrEqual(tb, workers, backlog+1+3)
	_, err = srv.AwaitDescendants(tb.Context(), "a worker for each that waited", func(l rig.ProcessInfos) bool {
		return len(l.Alive()) == workers
	})
	require.NoError(tb, err)
	require.NoError(tb, rig.Await(tb.Context(), "all clients connected", func() (bool, string, error) {
		left := slices.DeleteFunc(f.Connections(), func(c fault.Connection) bool { return c.Connected })
		return len(left) == 0, fmt.Sprint(left), nil
	}))
	require.NoError(tb, full.Heal(tb.Context()))
	for _, c := range f.Connections() {
		assert.NoError(tb, c.Err)
	}
	everythingReaped(tb, srv, workers+5)
	assert.EqualValues(tb, workers+5, srv.stop(tb).Reaped)
}

// TestResetBeforeAccept lets clients connect and reset before the listener, which is
// stopped, can accept. On Linux accept returns such a connection, and the worker's first
// read fails with ECONNRESET (elsewhere accept fails with ECONNABORTED, accept(2)). The
// workers end at once, and others are served.
func TestResetBeforeAccept(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		srv := s.serve(t)
		resetBeforeAccept(t, s, srv)
		everythingReaped(t, srv, resetClients+5)
		assert.EqualValues(t, resetClients+5, srv.stop(t).Reaped)
	})
}

const resetClients = 5

// TestResetBeforeAcceptCatches sees the story fail at a server that sends to its
// clients itself, and does not expect that they are gone.
func TestResetBeforeAcceptCatches(t *testing.T) {
	catches(t, "a client that was gone ended the server", func(tb testing.TB, s *stage) {
		resetBeforeAccept(tb, s, s.serve(tb, "-defect", "no-sigpipe"))
	})
}

func resetBeforeAccept(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	require.NoError(tb, srv.Freeze(tb.Context()))
	_, err := fault.Apply(tb.Context(), s.lab, &fault.ResetUnaccepted{
		Clients: fault.Clients{From: s.clients[0], To: s.address, Count: resetClients}})
	require.NoError(tb, err)
	require.NoError(tb, srv.Thaw())
	served := report(tb, s.load(tb, s.clients[1], 5, "-parallel", "5")).Err()
	if served != nil && endsSoon(tb, srv.Process) {
		require.Fail(tb, "a client that was gone ended the server", "%v", srv.Stderr.Last(2))
	}
	require.NoError(tb, served)
}

// TestDestroyedConnections destroys every other connection at the server's side in
// mid-conversation (sock_diag(7), SOCK_DESTROY; a read fails with ECONNABORTED): these
// workers end and are reaped, the others converse on.
func TestDestroyedConnections(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		srv := s.serve(t)
		destroyedConnections(t, s, srv)
		everythingReaped(t, srv, 6)
		assert.EqualValues(t, 6, srv.stop(t).Reaped)
	})
}

// TestDestroyedConnectionsCatches sees the story fail at a server that does not reap.
func TestDestroyedConnectionsCatches(t *testing.T) {
	catches(t, "6 zombies of 6 workers stay", func(tb testing.TB, s *stage) {
		srv := s.serve(tb, "-defect", "no-reap", "-grace", "1ms")
		destroyedConnections(tb, s, srv)
		everythingReaped(tb, srv, 6)
	})
}

func destroyedConnections(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	var conns []net.Conn
	for i := range 6 {
		conn, err := s.clients[i%2].Dial(tb.Context(), s.address)
		require.NoError(tb, err)
		tb.Cleanup(func() { conn.Close() })
		converse(tb, conn)
		conns = append(conns, conn)
	}
	var chosen []uint16
	for _, conn := range conns[:3] {
		chosen = append(chosen, conn.LocalAddr().(*net.TCPAddr).AddrPort().Port())
	}
	_, err := fault.Apply(tb.Context(), s.lab, fault.Destroy{Host: s.host, What: "three of six connections",
		Match: func(k rig.Socket) bool {
			return k.Local.Port() == port && k.State == rig.Established && slices.Contains(chosen, k.Remote.Port())
		}})
	rig.SkipIfMissing(tb, err)
	_, err = srv.AwaitDescendants(tb.Context(), "the end of three workers", func(l rig.ProcessInfos) bool { return len(l.Alive()) == 3 })
	require.NoError(tb, err)
	for i, conn := range conns {
		if i >= 3 {
			converse(tb, conn)
		} else {
			_, err := conn.Read(make([]byte, 1))
			require.Error(tb, err, "a client whose connection is destroyed is told")
		}
		conn.Close()
	}
}

// converse says something and reads the echo.
func converse(tb testing.TB, conn net.Conn) {
	tb.Helper()
	require.NoError(tb, conn.SetDeadline(time.Now().Add(rig.Patience())))
	_, err := conn.Write([]byte("hello"))
	require.NoError(tb, err)
	answer := make([]byte, 5)
	for n := 0; n < len(answer); {
		got, err := conn.Read(answer[n:])
		require.NoError(tb, err)
		n += got
	}
	require.Equal(tb, "hello", string(answer))
}
