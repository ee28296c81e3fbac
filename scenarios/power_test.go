// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestPowerCutWhileClientsWrite cuts the server's power while clients write, and brings it
// back under the same address: a host that knows nothing of a connection answers its
// segments with a reset (RFC 9293, section 3.5.1, half-open connections).
func TestPowerCutWhileClientsWrite(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { powerCutWhileClientsWrite(t, s) })
}

// TestPowerCutCatches sees a server that is wrong after the power is back.
func TestPowerCutCatches(t *testing.T) {
	catches(t, "mismatched", func(tb testing.TB, s *stage) { powerCutWhileClientsWrite(tb, s, "-defect", "drop-first-byte") })
}

// powerCutWhileClientsWrite gives the arguments to the server that is started when
// the power is back.
func powerCutWhileClientsWrite(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	const perHost = 5
	srv := s.serve(tb)
	load := func(size string) []*rig.Process {
		var clients []*rig.Process
		for _, host := range s.clients {
			clients = append(clients, s.load(tb, host, perHost, "-parallel", strconv.Itoa(perHost), "-messages", "1", "-size", size))
		}
		return clients
	}
	const endless, short = "1099511627776", transfer
	writing := load(endless)
	s.awaitClients(tb, "clients in conversation", 2*perHost, func(k rig.Socket) bool { return k.State == rig.Established })

	cut := s.strike(tb, fault.PowerCut{Host: s.host})
	// Every client goes on as if nothing had happened, and hears nothing.
	s.awaitClients(tb, "clients that send again and again", 2*perHost, func(k rig.Socket) bool {
		return k.State == rig.Established && k.Retransmits > 0
	})
	heal(tb, cut)
	s.toldBySegments(tb, 2)
	for _, client := range writing {
		r := report(tb, client)
		assert.Equal(tb, perHost, r.Reset, "each client is reset: %v", r.Err())
	}

	require.False(tb, srv.Running())
	second := s.serve(tb, serverArgs...)
	allServed(tb, load(short)...)
	everythingReaped(tb, second, 2*perHost)
	second.stop(tb)
}

// toldBySegments checks that each client which writes learns that its connection is
// gone from the answer to one of the next segments that it sends. The bound is that
// of the kernel's own timers, which say when that will be, and how often a client
// has sent by now; how fast the machine is does not matter.
//
// The kernel counts a segment as sent that waits for neighbour discovery, whose question may
// be lost where the machine is busy: the queue of a processor has an end
// (net.core.netdev_max_backlog). It asks three times, a second apart (RFC 4861, section 10,
// MAX_MULTICAST_SOLICIT; arp(7), mcast_solicit), and in that time a retransmission timer that
// begins with 200 ms and doubles expires four times.
func (s *stage) toldBySegments(tb testing.TB, segments uint8) {
	tb.Helper()
	const undiscovered = 4
	began := time.Now()
	due := time.Duration(0)
	sent := map[netip.AddrPort]uint8{}
	for _, k := range s.clientSockets(tb) {
		due = max(due, k.TimerLeft)
		sent[k.Local] = k.Retransmits
	}
	require.NoError(tb, rig.Await(tb.Context(), "clients that know", func() (bool, string, error) {
		left := s.clientSockets(tb)
		for _, k := range left {
			if k.Retransmits > sent[k.Local]+segments+undiscovered {
				return false, "", fmt.Errorf("a client was not told, although it sent %d segments: %v", k.Retransmits-sent[k.Local], k)
			}
		}
		return len(left) == 0, left.String(), nil
	}))
	tb.Logf("the clients' timers were due within %v, all knew within %v", due, time.Since(began).Round(time.Millisecond))
}

// clientSockets returns the clients' connections with the server that have a process.
func (s *stage) clientSockets(tb testing.TB) rig.Sockets {
	tb.Helper()
	var found rig.Sockets
	for _, host := range s.clients {
		all, err := host.Sockets()
		require.NoError(tb, err)
		for _, k := range all {
			if k.Remote.Port() == port && k.State != rig.TimeWait {
				found = append(found, k)
			}
		}
	}
	return found
}

// awaitClients waits until so many of the clients' connections are as they should be.
func (s *stage) awaitClients(tb testing.TB, what string, connections int, seen func(rig.Socket) bool) {
	tb.Helper()
	require.NoError(tb, rig.Await(tb.Context(), what, func() (bool, string, error) {
		all := s.clientSockets(tb)
		n := 0
		for _, k := range all {
			if seen(k) {
				n++
			}
		}
		return n == connections, all.String(), nil
	}))
}
