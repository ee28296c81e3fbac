package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// What the network does to clients in mid-conversation, and what a server makes
// of it: no byte is lost where the network heals, no worker stays where it does not.

// converse starts clients of a server that is stopped, and waits until all are
// connected: they are in the middle of what they send. It is continued when the
// network breaks.
func (s *stage) converse(tb testing.TB, srv *server, messages, size string, args ...string) []*rig.Process {
	tb.Helper()
	require.NoError(tb, srv.Freeze(tb.Context()))
	s.frozen = srv
	var clients []*rig.Process
	for _, host := range s.clients {
		all := append([]string{"-parallel", "2", "-messages", messages, "-size", size}, args...)
		clients = append(clients, s.load(tb, host, 2, all...))
	}
	_, err := s.host.AwaitSockets(tb.Context(), "every client's connection", func(all rig.Sockets) bool {
		return len(all.On(port).In(rig.Established)) == 2*len(s.clients)
	})
	require.NoError(tb, err)
	return clients
}

// breaks applies a fault that heals at the latest when the lab ends.
func (s *stage) breaks(tb testing.TB, f fault.Fault) *fault.Applied {
	tb.Helper()
	applied, err := fault.Apply(tb.Context(), s.lab, f)
	rig.SkipIfMissing(tb, err)
	if s.frozen != nil {
		require.NoError(tb, s.frozen.Thaw())
		s.frozen = nil
	}
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

// TestPartitionInMidTransfer parts clients from the server for three seconds while
// both send.
func TestPartitionInMidTransfer(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		clients := s.converse(t, srv, "2", transfer)
		partsForAWhile(t, s, fault.Partition{Between: s.clients, And: []*rig.Host{s.host}})
		allServed(t, clients...)
		everythingReaped(t, srv, 4)
		assert.EqualValues(t, 4, srv.stop(t).Reaped)
	})
}

// partsForAWhile breaks for three seconds, which are the fault itself, and sees that
// connections of all clients did not get through.
func partsForAWhile(tb testing.TB, s *stage, f fault.Fault) {
	tb.Helper()
	const lasts = 3 * time.Second
	parted := s.breaks(tb, f)
	ends := time.NewTimer(lasts)
	defer ends.Stop()
	s.bites(tb, s.clients...)
	<-ends.C
	heals(tb, parted)
}

// TestPartitionCatches sees the check fail at a server that forgets a worker now
// and then.
func TestPartitionCatches(t *testing.T) {
	t.Parallel()
	trial := rig.Try(t, func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, 1)
		srv := s.serve(tb, "-defect", "leak-one-in-64")
		clients := s.converse(tb, srv, "2", transfer)
		partsForAWhile(tb, s, fault.Partition{Between: s.clients, And: []*rig.Host{s.host}})
		allServed(tb, clients...)
		allServed(tb, s.load(tb, s.clients[0], 70, "-parallel", "4"))
		everythingReaped(tb, srv, 72)
	})
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "1 zombies of 72 workers stay")
}

// TestOneWayPartitions lose what only one side sends, and then what only the
// other does.
func TestOneWayPartitions(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		server := []*rig.Host{s.host}
		clients := s.converse(t, srv, "2", transfer)
		// The clients are not heard. What the server sends arrives, and is not
		// acknowledged: it sends again, too.
		deaf := s.breaks(t, fault.Partition{Between: s.clients, And: server, OneWay: true})
		s.bites(t, s.clients...)
		heals(t, deaf)
		allServed(t, clients...)

		clients = s.converse(t, srv, "2", transfer)
		mute := s.breaks(t, fault.Partition{Between: server, And: s.clients, OneWay: true})
		s.bites(t, s.clients...)
		heals(t, mute)
		allServed(t, clients...)
		everythingReaped(t, srv, 8)
	})
}

// TestBadLinks lose, double, reorder and delay packets of both directions.
func TestBadLinks(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		badLinks(t, s)
		everythingReaped(t, srv, 20)
	})
}

// TestBadLinksCatch sees the check fail at a server that loses a byte.
func TestBadLinksCatch(t *testing.T) {
	t.Parallel()
	trial := rig.Try(t, func(tb testing.TB) {
		s := newStage(tb, variant{rig.IPv4, "fork"}, 1)
		s.serve(tb, "-defect", "drop-first-byte")
		badLinks(tb, s)
	})
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "10 of 10 connections")
}

func badLinks(tb testing.TB, s *stage) {
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
}

// TestNarrowLink: a rate limit with a short queue, which overflows.
func TestNarrowLink(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		srv := s.serve(t)
		var tally fault.Tally
		narrow := s.breaks(t, fault.Impairment{Link: s.host.Links()[0], From: s.host,
			RateBitsPerSecond: 20e6, QueueBytes: 16_000, Tally: &tally})
		allServed(t, s.load(t, s.clients[0], 4, "-parallel", "4", "-messages", "2", "-size", "100000"))
		heals(t, narrow)
		t.Log(&tally)
		require.Positive(t, tally.Overflowed.Load(), "broken: the queue never was full")
		allServed(t, s.load(t, s.clients[0], 4, "-size", "100000"))
		everythingReaped(t, srv, 8)
	})
}

// TestMTUFallsInMidTransfer: the hosts learn of it, and then they do not.
func TestMTUFallsInMidTransfer(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		srv := s.serve(t)
		link, host := s.clients[0].Links()[0], s.clients[0]

		// Long packets vanish: nothing gets through until the hosts learn why.
		clients := s.converse(t, srv, "2", transfer)
		hole := s.breaks(t, fault.MTU{Link: link, Bytes: 1400, Silent: true})
		s.bites(t, host)
		lower := s.breaks(t, fault.MTU{Link: link, Bytes: 1300})
		allServed(t, clients...)
		heals(t, lower, hole)
		allServed(t, s.load(t, host, 1, "-size", transfer))
		everythingReaped(t, srv, 3)
	})
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
	trial := rig.Try(t, func(tb testing.TB) {
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
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "workers of reset connections stay")
}

// resetInMidTransfer resets both sides of every conversation.
func resetInMidTransfer(tb testing.TB, s *stage, srv *server) {
	tb.Helper()
	clients := s.converse(tb, srv, "100", transfer)
	resets := s.breaks(tb, fault.Reset{From: s.clients, To: []*rig.Host{s.host}, ToPort: port, Both: true})
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

// TestBlackHoleOnTheWayBack: the server hears its clients and cannot answer.
func TestBlackHoleOnTheWayBack(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		clients := s.converse(t, srv, "2", transfer)
		hole := s.breaks(t, fault.BlackHole{On: s.host, To: s.clients[0]})
		s.bites(t, s.clients[0])
		allServed(t, clients[1]) // whom it does not concern
		heals(t, hole)
		allServed(t, clients[0])
		everythingReaped(t, srv, 4)
	})
}

// TestLinkDownInMidTransfer takes a link down and up, and unplugs the server.
func TestLinkDownInMidTransfer(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		clients := s.converse(t, srv, "2", transfer)
		// The server's address is on the link of the first client, and in IPv6 gone
		// with it.
		down := s.breaks(t, fault.LinkDown{Link: s.clients[1].Links()[0]})
		s.bites(t, s.clients[1])
		allServed(t, clients[0])
		heals(t, down)
		allServed(t, clients[1])

		clients = s.converse(t, srv, "2", transfer)
		unplugged := s.breaks(t, fault.Unplugged{Host: s.host})
		s.bites(t, s.clients...)
		heals(t, unplugged)
		allServed(t, clients...)
		everythingReaped(t, srv, 8)
	})
}
