// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// What the network does to clients in mid-conversation, and what a server makes of it:
// no byte is lost where the network heals (RFC 9293, section 3.8.1, retransmission), and
// no worker stays where it does not.

// networkStory lets the network break and heal while clients converse, and returns how
// many connections it took. What clients get is right.
type networkStory func(tb testing.TB, s *stage, srv *server) (connections int)

var networkStories = map[string]networkStory{
	"partition":        partition,
	"one-way":          oneWayPartitions,
	"bad links":        badLinks,
	"narrow link":      narrowLink,
	"MTU":              mtuFalls,
	"black hole":       blackHoleOnTheWayBack,
	"link down":        linkDown,
	"unplugged server": unpluggedServer,
}

// TestNetwork tells each story, after which nothing remains of it.
func TestNetwork(t *testing.T) {
	for name, story := range networkStories {
		t.Run(name, func(t *testing.T) {
			everywhere(t, 2, func(t *testing.T, s *stage) {
				s.smallBuffers(t)
				srv := s.serve(t)
				connections := story(t, s, srv)
				everythingReaped(t, srv, connections)
				assert.EqualValues(t, connections, srv.stop(t).Reaped)
			})
		})
	}
}

// TestNetworkCatches sees each of them fail at a server that loses a byte of each
// reply.
func TestNetworkCatches(t *testing.T) {
	t.Parallel()
	for name, story := range networkStories {
		t.Run(name, func(t *testing.T) {
			catches(t, "mismatched", func(tb testing.TB, s *stage) {
				s.smallBuffers(tb)
				story(tb, s, s.serve(tb, "-defect", "drop-first-byte"))
			})
		})
	}
}

// midTransfer breaks the network in the middle of what clients send, two
// connections from each host: the server is stopped until it is broken.
func (s *stage) midTransfer(tb testing.TB, srv *server, messages int, f fault.Fault) (clients []*rig.Process, broken *fault.Applied) {
	tb.Helper()
	require.NoError(tb, srv.Freeze(tb.Context()))
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, connectionsPerHost, "-parallel", strconv.Itoa(connectionsPerHost),
			"-messages", strconv.Itoa(messages), "-size", transfer))
	}
	_, err := s.host.AwaitSockets(tb.Context(), "data on every client's connection", func(all rig.Sockets) bool {
		sending := 0
		for _, k := range all.On(port).In(rig.Established) {
			if k.RecvQueue > 0 {
				sending++
			}
		}
		return sending == connectionsPerHost*len(s.clients)
	})
	require.NoError(tb, err)
	broken = s.strike(tb, f)
	require.NoError(tb, srv.Thaw())
	return clients, broken
}

// bites waits until the server has sent something again in vain on every connection of
// these hosts: it answers what was sent before the network broke. Otherwise the verdict
// is broken.
func (s *stage) bites(tb testing.TB, clients ...*rig.Host) {
	tb.Helper()
	for _, client := range clients {
		_, err := s.host.AwaitSockets(tb.Context(), "connections of "+client.Name+" that do not get through", func(all rig.Sockets) bool {
			stuck := 0
			for _, k := range all.On(port).In(rig.Established) {
				if s.lab.Owner(k.Remote.Addr().Unmap()) == client && k.Retransmits > 0 {
					stuck++
				}
			}
			return stuck == connectionsPerHost
		})
		require.NoError(tb, err, "broken: the fault did not hit the conversation")
	}
}

// connectionsPerHost is how many connections each client host has when the network breaks.
const connectionsPerHost = 2

// partition parts clients from the server until every connection has tried in vain.
func partition(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, parted := s.midTransfer(tb, srv, 1, fault.Partition{Between: s.clients, And: []*rig.Host{s.host}})
	s.bites(tb, s.clients...)
	heal(tb, parted)
	allServed(tb, clients...)
	return 4
}

// oneWayPartitions lose what the clients send, and then what the server does.
func oneWayPartitions(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	server := []*rig.Host{s.host}
	// The clients are not heard. What the server sends arrives, and is not
	// acknowledged: it sends again, too.
	clients, deaf := s.midTransfer(tb, srv, 1, fault.Partition{Between: s.clients, And: server, OneWay: true})
	s.bites(tb, s.clients...)
	heal(tb, deaf)
	allServed(tb, clients...)

	clients, mute := s.midTransfer(tb, srv, 1, fault.Partition{Between: server, And: s.clients, OneWay: true})
	s.bites(tb, s.clients...)
	heal(tb, mute)
	allServed(tb, clients...)
	return 8
}

// badLinks lose, double, reorder and delay packets of both directions.
func badLinks(tb testing.TB, s *stage, _ *server) int {
	tb.Helper()
	var tally fault.Tally
	var bad []*fault.Applied
	for _, host := range s.clients {
		link := host.Links()[0]
		for _, from := range link.Hosts() {
			bad = append(bad, s.strike(tb, fault.Impairment{Link: link, From: from, Tally: &tally,
				Loss: 0.02, Duplicate: 0.05, Reorder: 0.05, Delay: time.Millisecond, Jitter: 2 * time.Millisecond}))
		}
	}
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, 10, "-parallel", "5", "-messages", "1", "-size", "50000"))
	}
	allServed(tb, clients...)
	for _, b := range bad {
		heal(tb, b)
	}
	tb.Log(&tally)
	require.Positive(tb, tally.Lost.Load(), "broken: no packet was lost")
	require.Positive(tb, tally.Duplicated.Load(), "broken: no packet was doubled")
	require.Positive(tb, tally.Reordered.Load(), "broken: no packet was reordered")
	return 20
}

// narrowLink is a rate limit with a short queue, which overflows.
func narrowLink(tb testing.TB, s *stage, _ *server) int {
	tb.Helper()
	var tally fault.Tally
	narrow := s.strike(tb, fault.Impairment{Link: s.host.Links()[0], From: s.host,
		RateBitsPerSecond: 20e6, QueueBytes: 16_000, Tally: &tally})
	allServed(tb, s.load(tb, s.clients[0], 4, "-parallel", "4", "-messages", "2", "-size", "100000"))
	heal(tb, narrow)
	tb.Log(&tally)
	require.Positive(tb, tally.Overflowed.Load(), "broken: the queue never was full")
	allServed(tb, s.load(tb, s.clients[0], 4, "-size", "100000"))
	return 8
}

// mtuFalls silently first, so that long packets vanish and nothing gets through (RFC 2923,
// section 2.1, a black hole of path MTU discovery), and then so that the hosts learn why.
func mtuFalls(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	link, host := s.clients[0].Links()[0], s.clients[0]
	clients, hole := s.midTransfer(tb, srv, 1, fault.MTU{Link: link, Bytes: 1400, Silent: true})
	s.bites(tb, host)
	lower := s.strike(tb, fault.MTU{Link: link, Bytes: 1300})
	allServed(tb, clients...)
	heal(tb, lower)
	heal(tb, hole)
	allServed(tb, s.load(tb, host, 1, "-size", transfer))
	return 5
}

// blackHoleOnTheWayBack lets the server hear a client that it cannot answer (ip-route(8),
// blackhole).
func blackHoleOnTheWayBack(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, hole := s.midTransfer(tb, srv, 1, fault.BlackHole{On: s.host, To: s.clients[0]})
	s.bites(tb, s.clients[0])
	allServed(tb, clients[1]) // the fault does not concern it
	heal(tb, hole)
	allServed(tb, clients[0])
	return 4
}

// linkDown takes the link of the second client down (netdevice(7), IFF_UP). The server's
// address is on the link of the first, because an IPv6 address goes when its link does.
func linkDown(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, down := s.midTransfer(tb, srv, 1, fault.LinkDown{Link: s.clients[1].Links()[0]})
	s.bites(tb, s.clients[1])
	allServed(tb, clients[0])
	heal(tb, down)
	allServed(tb, clients[1])
	return 4
}

func unpluggedServer(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, unplugged := s.midTransfer(tb, srv, 1, fault.Unplugged{Host: s.host})
	s.bites(tb, s.clients...)
	heal(tb, unplugged)
	allServed(tb, clients...)
	return 4
}

// TestResetInMidTransfer resets connections at the server's side of the network (RFC
// 9293, section 3.5.2): their workers end and are reaped, and the listener serves on.
func TestResetInMidTransfer(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) {
		s.smallBuffers(t)
		resetInMidTransfer(t, s, s.serve(t))
	})
}

// TestResetCatches sees the check fail at a server whose workers read on after a
// reset.
func TestResetCatches(t *testing.T) {
	catches(t, "workers stay although their clients have left", func(tb testing.TB, s *stage) {
		s.smallBuffers(tb)
		resetInMidTransfer(tb, s, s.serve(tb, "-defect", "worker-ignores-reset", "-grace", "1ms"))
	})
}

// resetInMidTransfer resets both sides of every conversation.
func resetInMidTransfer(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	clients, resets := s.midTransfer(tb, srv, 100, fault.Reset{From: s.clients, To: []*rig.Host{s.host}, ToPort: port, Both: true})
	for _, client := range clients {
		r := report(tb, client)
		require.Equal(tb, connectionsPerHost, r.Reset, "broken: the connections were not reset: %v", r.Err())
	}
	heal(tb, resets)
	everythingReaped(tb, srv, 4)
	allServed(tb, s.load(tb, s.clients[0], 4))
	everythingReaped(tb, srv, 8)
}
