// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/internal/kerneltest"
	"forkrig/internal/testserver"
	"forkrig/rig"
	"forkrig/rig/fault"
)

func init() { programs["echoing"] = echoing }

// echoing answers every connection at its argument with what it reads.
func echoing(args []string) int { return testserver.Run(args[1], testserver.Echo) }

// scene is an echo server and a client's host.
type scene struct {
	lab     *rig.Lab
	server  *rig.Process
	host    *rig.Host
	clients fault.Clients
}

func newScene(tb testing.TB, family rig.Family) *scene {
	tb.Helper()
	s := &scene{lab: rig.New(tb)}
	server, clients := s.lab.NewStar("server", "client", 1)
	address := netip.AddrPortFrom(server.MustAddr(family), 7000)
	s.host = server
	s.server = server.MustStart(rig.Program("echoing", address.String()))
	_, err := server.AwaitListen(tb.Context(), s.server, address.Port())
	require.NoError(tb, err)
	s.clients = fault.Clients{From: clients[0], To: address}
	return s
}

// nothingLeft checks that both hosts have no connection any more, TIME-WAIT aside.
func (s *scene) nothingLeft(t *testing.T) {
	t.Helper()
	for _, host := range []*rig.Host{s.host, s.clients.From} {
		_, err := host.AwaitSockets(t.Context(), "no connection", func(all rig.Sockets) bool {
			return len(all.In(rig.Listening, rig.TimeWait)) == len(all)
		})
		require.NoError(t, err)
	}
}

// inEachFamily runs f over IPv4 and IPv6.
func inEachFamily(t *testing.T, f func(t *testing.T, family rig.Family)) {
	t.Parallel()
	for _, family := range rig.Families {
		t.Run(family.String(), func(t *testing.T) {
			t.Parallel()
			f(t, family)
		})
	}
}

// TestNeverRead: the server's side cannot send any more, and everything comes
// once the clients read.
func TestNeverRead(t *testing.T) {
	kerneltest.NeedsSteadyBuffer(t)
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		f := &fault.NeverRead{Clients: s.clients}
		f.Count = 2
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		for _, c := range f.Connections() {
			assert.True(t, c.Connected)
			assert.Positive(t, c.Sent)
			assert.Zero(t, c.Received)
			assert.False(t, c.Ended)
		}
		require.NoError(t, applied.Heal(t.Context()))
		for _, c := range f.Connections() {
			assert.True(t, c.Ended)
			require.NoError(t, c.Err)
			assert.Equal(t, c.Sent, c.Received, "all that was sent is answered")
			assert.True(t, strings.HasPrefix(string(c.Answer), "a client that sends the same"))
		}
		s.nothingLeft(t)
	})
}

// TestOverfeed: the receive queue of a stopped server is full.
func TestOverfeed(t *testing.T) {
	kerneltest.NeedsSteadyBuffer(t)
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		require.NoError(t, s.server.Freeze(t.Context()))
		f := &fault.Overfeed{Clients: s.clients}
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		sockets, err := s.host.Sockets()
		require.NoError(t, err)
		full := sockets.In(rig.Established)
		require.Len(t, full, 1)
		assert.Greater(t, full[0].RecvQueue, uint32(10_000))
		require.NoError(t, s.server.Thaw())
		require.NoError(t, applied.Heal(t.Context()))
		c := f.Connections()[0]
		require.NoError(t, c.Err)
		assert.Equal(t, c.Sent, c.Received)
		s.nothingLeft(t)
	})
}

// TestHalfClose: what was sent before comes back after the end of sending.
func TestHalfClose(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		require.NoError(t, s.server.Freeze(t.Context()))
		f := &fault.HalfClose{Clients: s.clients, Message: []byte("a last word")}
		f.Count = 3
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		sockets, err := s.host.AwaitSockets(t.Context(), "half-closed connections", func(all rig.Sockets) bool {
			return len(all.In(rig.CloseWait)) == 3
		})
		require.NoError(t, err, sockets)
		require.NoError(t, s.server.Thaw())
		require.NoError(t, rig.Await(t.Context(), "the end of all", func() (bool, string, error) {
			for _, c := range f.Connections() {
				if !c.Ended {
					return false, "", nil
				}
			}
			return true, "", nil
		}))
		require.NoError(t, applied.Heal(t.Context()))
		for _, c := range f.Connections() {
			require.NoError(t, c.Err)
			assert.Equal(t, "a last word", string(c.Answer))
		}
		s.nothingLeft(t)
	})
}

// TestUrgent: the urgent byte is not in the stream that the server reads.
func TestUrgent(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		f := &fault.Urgent{Clients: s.clients, Message: []byte("now")}
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		require.NoError(t, applied.Heal(t.Context()))
		c := f.Connections()[0]
		require.NoError(t, c.Err)
		assert.EqualValues(t, 7, c.Sent)
		assert.Equal(t, "nownow", string(c.Answer))
		s.nothingLeft(t)
	})
}

// TestTrickle: byte after byte, until it is healed.
func TestTrickle(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		f := &fault.Trickle{Clients: s.clients, Every: time.Millisecond, Message: []byte("abc")}
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		require.NoError(t, rig.Await(t.Context(), "a few bytes", func() (bool, string, error) {
			return f.Connections()[0].Received >= 10, "", nil
		}))
		require.NoError(t, applied.Heal(t.Context()))
		c := f.Connections()[0]
		require.NoError(t, c.Err)
		assert.Equal(t, c.Sent, c.Received)
		assert.Equal(t, "abcabcabca", string(c.Answer[:10]))
		s.nothingLeft(t)
	})
}

// TestFullBacklog: the queue is full, and who comes later waits for an answer
// until the listener accepts again.
func TestFullBacklog(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		f := &fault.FullBacklog{Clients: s.clients}
		f.Count = 2

		require.NoError(t, s.host.SetSysctl("net.core.somaxconn", "5"))
		require.NoError(t, s.server.Kill(t.Context()))
		var err error
		s.server, err = s.server.Restart() // with a backlog of 5
		require.NoError(t, err)
		_, err = s.host.AwaitListen(t.Context(), s.server, f.To.Port())
		require.NoError(t, err)

		_, err = fault.Apply(t.Context(), s.lab, f)
		require.ErrorContains(t, err, "the listener accepts")
		s.nothingLeft(t)

		require.NoError(t, s.server.Freeze(t.Context()))
		applied, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		all := f.Connections()
		// The accept that waited may have taken one before it stopped.
		require.GreaterOrEqual(t, len(all), 6+2)
		for _, late := range all[len(all)-2:] {
			assert.False(t, late.Connected)
			assert.NotZero(t, late.Local.Port())
		}
		require.NoError(t, s.server.Thaw())
		require.NoError(t, rig.Await(t.Context(), "all connected", func() (bool, string, error) {
			for _, c := range f.Connections() {
				if !c.Connected {
					return false, "", c.Err
				}
			}
			return true, "", nil
		}))
		require.NoError(t, applied.Heal(t.Context()))
		for _, c := range f.Connections() {
			assert.NoError(t, c.Err)
		}
		s.nothingLeft(t)

		require.NoError(t, s.server.Freeze(t.Context()))
		f = &fault.FullBacklog{Clients: s.clients}
		applied, err = fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		require.NoError(t, applied.Heal(t.Context()))
		all = f.Connections()
		require.ErrorIs(t, all[len(all)-1].Err, fault.ErrLeft)
		require.NoError(t, s.server.Thaw())
		s.nothingLeft(t)
	})
}

// TestResetUnaccepted: the kernel of the server knows the connections no more,
// and accept returns them all the same.
func TestResetUnaccepted(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		f := &fault.ResetUnaccepted{Clients: s.clients}
		f.Count = 3
		require.NoError(t, s.server.Freeze(t.Context()))
		_, err := fault.Apply(t.Context(), s.lab, f)
		require.NoError(t, err)
		sockets, err := s.host.Sockets()
		require.NoError(t, err)
		listener := sockets.In(rig.Listening)
		require.Len(t, listener, 1)
		assert.EqualValues(t, 3, listener[0].RecvQueue, "they wait for accept")
		for _, c := range f.Connections() {
			require.ErrorIs(t, c.Err, fault.ErrLeft)
			assert.True(t, c.Ended)
		}
		s.nothingLeft(t)
		require.NoError(t, s.server.Thaw())
		_, err = s.host.AwaitSockets(t.Context(), "an empty queue", func(all rig.Sockets) bool {
			return all.In(rig.Listening)[0].RecvQueue == 0
		})
		require.NoError(t, err)
	})
}

// TestDestroy: the peer is reset, the others converse on.
func TestDestroy(t *testing.T) {
	inEachFamily(t, func(t *testing.T, family rig.Family) {
		s := newScene(t, family)
		_, err := fault.Apply(t.Context(), s.lab, fault.Destroy{Host: s.host})
		require.ErrorContains(t, err, "no socket of server matches")
		dial := func() net.Conn {
			conn, err := s.clients.From.Dial(t.Context(), s.clients.To)
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			exchange(t, conn)
			return conn
		}
		chosen, other := dial(), dial()
		_, err = fault.Apply(t.Context(), s.lab, fault.Destroy{Host: s.host, What: "the first connection", Match: func(k rig.Socket) bool {
			return k.Remote.Port() == chosen.LocalAddr().(*net.TCPAddr).AddrPort().Port()
		}})
		rig.SkipIfMissing(t, err)
		_, err = chosen.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		exchange(t, other)

		_, err = fault.Apply(t.Context(), s.lab, fault.Destroy{Host: s.clients.From})
		require.NoError(t, err)
		_, err = other.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNABORTED)
		chosen.Close()
		other.Close()
		s.nothingLeft(t)
	})
}

func exchange(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(rig.Patience())))
	_, err := conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
}

// TestClientsNeedAHostAndAnAddress: what is missing is said.
func TestClientsNeedAHostAndAnAddress(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host := lab.NewHost("h")
	for says, clients := range map[string]fault.Clients{
		"have no host":                       {},
		"have no address":                    {From: host},
		"no host of the lab has the address": {From: host, To: netip.MustParseAddrPort("10.9.9.9:1")},
		"-1 clients":                         {From: host, To: netip.MustParseAddrPort("127.0.0.1:1"), Count: -1},
		"connection refused":                 {From: host, To: netip.MustParseAddrPort("127.0.0.1:1")},
	} {
		_, err := fault.Apply(t.Context(), lab, &fault.Urgent{Clients: clients})
		assert.ErrorContains(t, err, says)
	}
}
