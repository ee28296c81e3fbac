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

// What the network does to clients in mid-conversation, and what a server makes
// of it: no byte is lost where the network heals, no worker stays where it does not.

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
			everywhere(t, func(t *testing.T, v variant) {
				s := newStage(t, v, 2)
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
			t.Parallel()
			catches(t, "mismatched", func(tb testing.TB) {
				s := newStage(tb, variant{rig.IPv4, "fork"}, 2)
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
		clients = append(clients, s.load(tb, host, 2, "-parallel", "2", "-messages", strconv.Itoa(messages), "-size", transfer))
	}
	_, err := s.host.AwaitSockets(tb.Context(), "every client's connection", func(all rig.Sockets) bool {
		return len(all.On(port).In(rig.Established)) == 2*len(s.clients)
	})
	require.NoError(tb, err)
	broken = s.breaks(tb, f)
	require.NoError(tb, srv.Thaw())
	return clients, broken
}

// breaks applies a fault that heals at the latest when the lab ends.
func (s *stage) breaks(tb testing.TB, f fault.Fault) *fault.Applied {
	tb.Helper()
	applied, err := fault.Apply(tb.Context(), s.lab, f)
	rig.SkipIfMissing(tb, err)
	return applied
}

func heals(tb testing.TB, faults ...*fault.Applied) {
	tb.Helper()
	for _, f := range faults {
		require.NoError(tb, f.Heal(tb.Context()))
	}
}

// bites waits until, between the server and each of these hosts, one side has sent
// something again in vain: otherwise the verdict is broken. Which side it is
// depends on who was sending.
func (s *stage) bites(tb testing.TB, clients ...*rig.Host) {
	tb.Helper()
	for _, client := range clients {
		err := rig.Await(tb.Context(), "a connection of "+client.Name+" that does not get through", func() (bool, string, error) {
			near, err := client.Sockets()
			if err != nil {
				return false, "", err
			}
			far, err := s.host.Sockets()
			if err != nil {
				return false, "", err
			}
			for _, k := range append(near, far.On(port)...) {
				ours := s.lab.Owner(k.Local.Addr()) == client || s.lab.Owner(k.Remote.Addr()) == client
				if ours && k.Retransmits > 0 {
					return true, "", nil
				}
			}
			return false, near.String(), nil
		})
		require.NoError(tb, err, "broken: the fault did not hit the conversation")
	}
}

// transfer is the size of a message that does not fit into the buffers of both
// sides.
const transfer = "16777216"

// partition parts clients from the server for three seconds, which are the fault
// itself.
func partition(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, parted := s.midTransfer(tb, srv, 2, fault.Partition{Between: s.clients, And: []*rig.Host{s.host}})
	ends := time.NewTimer(3 * time.Second)
	defer ends.Stop()
	s.bites(tb, s.clients...)
	<-ends.C
	heals(tb, parted)
	allServed(tb, clients...)
	return 4
}

// TestPartitionCatches sees everythingReaped fail after a partition, too, at a
// server that forgets a worker now and then.
func TestPartitionCatches(t *testing.T) {
	t.Parallel()
	catches(t, "1 zombies of 74 workers stay", func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, 2)
		srv := s.serve(tb, "-defect", "leak-one-in-64")
		connections := partition(tb, s, srv)
		allServed(tb, s.load(tb, s.clients[0], 70, "-parallel", "4"))
		everythingReaped(tb, srv, connections+70)
	})
}

// oneWayPartitions lose what the clients send, and then what the server does.
func oneWayPartitions(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	server := []*rig.Host{s.host}
	// The clients are not heard. What the server sends arrives, and is not
	// acknowledged: it sends again, too.
	clients, deaf := s.midTransfer(tb, srv, 2, fault.Partition{Between: s.clients, And: server, OneWay: true})
	s.bites(tb, s.clients...)
	heals(tb, deaf)
	allServed(tb, clients...)

	clients, mute := s.midTransfer(tb, srv, 2, fault.Partition{Between: server, And: s.clients, OneWay: true})
	s.bites(tb, s.clients...)
	heals(tb, mute)
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
			bad = append(bad, s.breaks(tb, fault.Impairment{Link: link, From: from, Tally: &tally,
				Loss: 0.02, Duplicate: 0.05, Reorder: 0.05, Delay: time.Millisecond, Jitter: 2 * time.Millisecond}))
		}
	}
	var clients []*rig.Process
	for _, host := range s.clients {
		clients = append(clients, s.load(tb, host, 10, "-parallel", "5", "-messages", "3", "-size", "50000"))
	}
	allServed(tb, clients...)
	heals(tb, bad...)
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
	narrow := s.breaks(tb, fault.Impairment{Link: s.host.Links()[0], From: s.host,
		RateBitsPerSecond: 20e6, QueueBytes: 16_000, Tally: &tally})
	allServed(tb, s.load(tb, s.clients[0], 4, "-parallel", "4", "-messages", "2", "-size", "100000"))
	heals(tb, narrow)
	tb.Log(&tally)
	require.Positive(tb, tally.Overflowed.Load(), "broken: the queue never was full")
	allServed(tb, s.load(tb, s.clients[0], 4, "-size", "100000"))
	return 8
}

// mtuFalls silently first, so that long packets vanish and nothing gets through, and
// then so that the hosts learn why.
func mtuFalls(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	link, host := s.clients[0].Links()[0], s.clients[0]
	clients, hole := s.midTransfer(tb, srv, 2, fault.MTU{Link: link, Bytes: 1400, Silent: true})
	s.bites(tb, host)
	lower := s.breaks(tb, fault.MTU{Link: link, Bytes: 1300})
	allServed(tb, clients...)
	heals(tb, lower, hole)
	allServed(tb, s.load(tb, host, 1, "-size", transfer))
	return 5
}

// blackHoleOnTheWayBack lets the server hear a client that it cannot answer.
func blackHoleOnTheWayBack(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, hole := s.midTransfer(tb, srv, 2, fault.BlackHole{On: s.host, To: s.clients[0]})
	s.bites(tb, s.clients[0])
	allServed(tb, clients[1]) // whom it does not concern
	heals(tb, hole)
	allServed(tb, clients[0])
	return 4
}

// linkDown takes the link of the second client down: the server's address is on
// that of the first, and in IPv6 gone with it.
func linkDown(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, down := s.midTransfer(tb, srv, 2, fault.LinkDown{Link: s.clients[1].Links()[0]})
	s.bites(tb, s.clients[1])
	allServed(tb, clients[0])
	heals(tb, down)
	allServed(tb, clients[1])
	return 4
}

func unpluggedServer(tb testing.TB, s *stage, srv *server) int {
	tb.Helper()
	clients, unplugged := s.midTransfer(tb, srv, 2, fault.Unplugged{Host: s.host})
	s.bites(tb, s.clients...)
	heals(tb, unplugged)
	allServed(tb, clients...)
	return 4
}

// TestResetInMidTransfer resets connections at the server's side of the network:
// their workers end and are reaped, and the listener serves on.
func TestResetInMidTransfer(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		resetInMidTransfer(t, s, srv)
		everythingReaped(t, srv, 4)
		allServed(t, s.load(t, s.clients[0], 4))
		everythingReaped(t, srv, 8)
	})
}

// TestResetCatches sees the check fail at a server whose workers read on after a
// reset.
func TestResetCatches(t *testing.T) {
	t.Parallel()
	catches(t, "workers of reset connections stay", func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, 2)
		srv := s.serve(tb, "-defect", "worker-ignores-reset")
		resetInMidTransfer(tb, s, srv)
		left, err := srv.AwaitDescendants(tb.Context(), "workers that have lost their connection", func(rig.ProcessInfos) bool {
			all, err := s.host.Sockets()
			return err == nil && len(all.On(port).In(rig.Established)) == 0
		})
		require.NoError(tb, err)
		endsWithin(tb, srv, len(left))
	})
}

// resetInMidTransfer resets both sides of every conversation.
func resetInMidTransfer(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	clients, resets := s.midTransfer(tb, srv, 100, fault.Reset{From: s.clients, To: []*rig.Host{s.host}, ToPort: port, Both: true})
	for _, client := range clients {
		r := report(tb, client)
		require.Equal(tb, 2, r.Reset, "broken: the connections were not reset: %v", r.Err())
	}
	heals(tb, resets)
}

// endsWithin checks that the workers end in the settling time.
func endsWithin(tb testing.TB, srv *server, workers int) {
	tb.Helper()
	start := time.Now()
	var alive int
	_, err := srv.AwaitDescendants(tb.Context(), "the end of workers, or the settling time", func(l rig.ProcessInfos) bool {
		alive = len(l.Alive())
		return alive == 0 || time.Since(start) > rig.Scaled(rig.Settling)
	})
	require.NoError(tb, err)
	if alive > 0 {
		require.Failf(tb, "workers of reset connections stay", "expected: a worker whose read fails with ECONNRESET ends\nobserved: %d of %d run on", alive, workers)
	}
}
