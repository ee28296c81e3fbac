// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// powered is a server with two connections that a power cut or a kill will hit.
type powered struct {
	lab          *rig.Lab
	server       *rig.Host
	client       *rig.Host
	process      *rig.Process
	address      netip.AddrPort
	idle, active net.Conn
	tap          *tap
}

func newPowered(t *testing.T, family rig.Family) *powered {
	t.Helper()
	p := &powered{lab: rig.New(t)}
	server, clients := p.lab.NewStar("server", "client", 1)
	p.server, p.client = server, clients[0]
	p.address = netip.AddrPortFrom(server.MustAddr(family), 7000)
	p.process = server.MustStart(rig.Program("echo", p.address.String()))
	_, err := server.AwaitListen(t.Context(), p.process, p.address.Port())
	require.NoError(t, err)
	p.idle, p.active = p.converse(t), p.converse(t)

	// And one in TIME-WAIT.
	past := p.converse(t)
	_, err = past.Write([]byte("x"))
	require.NoError(t, err)
	_, err = past.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, past.Close())
	_, err = server.AwaitSockets(t.Context(), "TIME-WAIT", func(all rig.Sockets) bool { return len(all.In(rig.TimeWait)) == 1 })
	require.NoError(t, err)
	p.tap = watch(t, p.client)
	return p
}

func (p *powered) converse(t *testing.T) net.Conn {
	t.Helper()
	conn, err := p.client.Dial(t.Context(), p.address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(rig.Patience())))
	_, err = conn.Write([]byte("hello"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 5))
	require.NoError(t, err)
	return conn
}

// of returns the client's socket of the connection.
func (p *powered) of(t *testing.T, conn net.Conn) (rig.Socket, bool) {
	t.Helper()
	all, err := p.client.Sockets()
	require.NoError(t, err)
	for _, s := range all {
		if s.Local.String() == conn.LocalAddr().String() {
			return s, true
		}
	}
	return rig.Socket{}, false
}

// TestPowerCutTellsNobody: no FIN and no RST leaves, the peer's connection stays
// and sends again and again, and what it sends after the power is back is answered
// by a reset.
func TestPowerCutTellsNobody(t *testing.T) {
	t.Parallel()
	for _, family := range rig.Families {
		t.Run(family.String(), func(t *testing.T) {
			t.Parallel()
			p := newPowered(t, family)
			cut := apply(t, p.lab, fault.PowerCut{Host: p.server})
			exit, err := p.process.Wait(t.Context())
			require.NoError(t, err)
			assert.Equal(t, syscall.SIGKILL, exit.Signal)
			sockets, err := p.server.Sockets()
			require.NoError(t, err)
			assert.Empty(t, sockets, "TIME-WAIT included")

			_, err = p.active.Write([]byte("is anybody there?"))
			require.NoError(t, err)
			err = rig.Await(t.Context(), "retransmissions", func() (bool, string, error) {
				s, there := p.of(t, p.active)
				return there && s.Retransmits > 0, s.String(), nil
			})
			require.NoError(t, err)
			for _, conn := range []net.Conn{p.idle, p.active} {
				s, there := p.of(t, conn)
				assert.True(t, there && s.State == rig.Established, "the peer has noticed nothing: %v", s)
			}
			assert.Zero(t, p.tap.look().All, "segments from a host without power")

			require.NoError(t, cut.Heal(t.Context()))
			_, err = p.active.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			p.onlyResets(t)

			s, there := p.of(t, p.idle)
			require.True(t, there && s.State == rig.Established, "who says nothing hears nothing: %v", s)
			_, err = p.idle.Write([]byte("hello"))
			require.NoError(t, err)
			_, err = p.idle.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			p.onlyResets(t)

			// A server that is started now listens at the same address.
			again, err := p.process.Restart()
			require.NoError(t, err)
			_, err = p.server.AwaitListen(t.Context(), again, p.address.Port())
			require.NoError(t, err)
			p.converse(t)
		})
	}
}

// onlyResets checks that the client was told by a reset and by nothing else. It may
// be several: what the client sent while its neighbour was unknown waited for that.
func (p *powered) onlyResets(t *testing.T) {
	t.Helper()
	now := p.tap.look()
	assert.Positive(t, now.RST)
	assert.Equal(t, seen{All: now.RST, RST: now.RST}, now)
}

// TestKillTellsThePeer is the same without the power cut, and shows that the
// tap watches.
func TestKillTellsThePeer(t *testing.T) {
	t.Parallel()
	p := newPowered(t, rig.IPv4)
	apply(t, p.lab, fault.Kill{Targets: []rig.Target{p.process.Itself()}})
	for _, conn := range []net.Conn{p.idle, p.active} {
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	assert.Equal(t, seen{All: 2, FIN: 2}, p.tap.look())
}

// TestPowerCutOfTheClient: the server's side is the one that notices nothing.
func TestPowerCutOfTheClient(t *testing.T) {
	t.Parallel()
	p := newPowered(t, rig.IPv6)
	served := func() rig.Sockets {
		all, err := p.server.Sockets()
		require.NoError(t, err)
		return all.On(p.address.Port()).In(rig.Established)
	}
	require.Len(t, served(), 2)
	cut := apply(t, p.lab, fault.PowerCut{Host: p.client})
	_, err := p.idle.Read(make([]byte, 1))
	assert.Error(t, err, "the test's own sockets are destroyed, too")
	assert.Len(t, served(), 2)
	require.NoError(t, cut.Heal(t.Context()))
	assert.Len(t, served(), 2)
	p.converse(t)
}
