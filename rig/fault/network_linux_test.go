// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// wire is two hosts, a link between them, and an echo server on b.
type wire struct {
	tb     testing.TB
	lab    *rig.Lab
	a, b   *rig.Host
	link   *rig.Link
	family rig.Family

	listener net.Listener // on b, since listen
}

const echoPort = 7

// inEach runs f in both families, each with a wire of its own.
func inEach(t *testing.T, f func(t *testing.T, w *wire)) {
	t.Parallel()
	for _, family := range rig.Families {
		t.Run(family.String(), func(t *testing.T) {
			t.Parallel()
			f(t, newWire(t, family))
		})
	}
}

func newWire(tb testing.TB, family rig.Family) *wire {
	tb.Helper()
	w := &wire{tb: tb, lab: rig.New(tb), family: family}
	w.a, w.b = w.lab.NewHost("a"), w.lab.NewHost("b")
	w.link = w.lab.NewLink(w.a, w.b)
	w.b.MustAddr(family)
	return w
}

func (w *wire) apply(f fault.Fault) *fault.Applied {
	w.tb.Helper()
	applied, err := fault.Apply(w.tb.Context(), w.lab, f)
	rig.SkipIfMissing(w.tb, err)
	return applied
}

func (w *wire) heal(applied *fault.Applied) {
	w.tb.Helper()
	require.NoError(w.tb, applied.Heal(w.tb.Context()))
}

// address is where b can be reached.
func (w *wire) address() netip.AddrPort { return netip.AddrPortFrom(w.b.MustAddr(w.family), echoPort) }

// listen returns the listener of the echo server. It is opened once: a process that another
// test starts at this moment holds a copy, and would keep the port after a close.
func (w *wire) listen() net.Listener {
	w.tb.Helper()
	if w.listener != nil {
		return w.listener
	}
	var err error
	w.listener, err = w.b.Listen(w.tb.Context(), w.address())
	require.NoError(w.tb, err)
	w.tb.Cleanup(func() { w.listener.Close() })
	return w.listener
}

// pair returns both ends of a connection from a to b.
func (w *wire) pair() (near, far net.Conn) {
	w.tb.Helper()
	listener := w.listen()
	near, err := w.a.Dial(w.tb.Context(), w.address())
	require.NoError(w.tb, err)
	far, err = listener.Accept()
	require.NoError(w.tb, err)
	for _, conn := range []net.Conn{near, far} {
		w.tb.Cleanup(func() { conn.Close() })
		require.NoError(w.tb, conn.SetDeadline(time.Now().Add(rig.Patience())))
	}
	return near, far
}

// passes sends n bytes over the connection and checks that just these arrive.
func (w *wire) passes(from, to net.Conn, n int) {
	w.tb.Helper()
	sent := pattern(n)
	var writing sync.WaitGroup
	var writeErr error
	writing.Go(func() { _, writeErr = from.Write(sent) })
	got := make([]byte, n)
	_, err := io.ReadFull(to, got)
	require.NoError(w.tb, err)
	writing.Wait()
	require.NoError(w.tb, writeErr)
	require.True(w.tb, bytes.Equal(sent, got), "every byte right")
}

func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// stuck waits until a connection of the host has sent again what was not answered.
// What could not even be sent once, for want of a route, the kernel tries again by
// the timer of probes.
func (w *wire) stuck(host *rig.Host) {
	w.tb.Helper()
	_, err := host.AwaitSockets(w.tb.Context(), "a retransmission", func(all rig.Sockets) bool {
		for _, s := range all {
			if s.Retransmits > 0 && (s.Timer == rig.TimerRetransmit || s.Timer == rig.TimerZeroWindowProbe) {
				return true
			}
		}
		return false
	})
	require.NoError(w.tb, err)
}

// idle waits until nothing that was written is unanswered.
func (w *wire) idle(host *rig.Host) {
	w.tb.Helper()
	_, err := host.AwaitSockets(w.tb.Context(), "everything answered", func(all rig.Sockets) bool {
		for _, s := range all.In(rig.Established) {
			if s.SendQueue > 0 {
				return false
			}
		}
		return true
	})
	require.NoError(w.tb, err)
}

// attempt tries to connect from a to b in the background.
func (w *wire) attempt() (outcome <-chan error, giveUp func()) {
	ctx, cancel := context.WithCancel(w.tb.Context())
	done := make(chan error, 1)
	go func() {
		conn, err := w.a.Dial(ctx, w.address())
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	return done, cancel
}

// stalls breaks with f in mid-conversation, sees that the connection stands
// still in the direction from a to b, heals, and sees every byte arrive.
func (w *wire) stalls(f fault.Fault) {
	w.tb.Helper()
	near, far := w.pair()
	w.passes(near, far, 1000)
	applied := w.apply(f)
	_, err := near.Write([]byte("while it is broken"))
	require.NoError(w.tb, err)
	w.stuck(w.a)
	w.heal(applied)
	got := make([]byte, len("while it is broken"))
	_, err = io.ReadFull(far, got)
	require.NoError(w.tb, err)
	assert.Equal(w.tb, "while it is broken", string(got))
	w.passes(near, far, 100_000)
	w.passes(far, near, 100_000)
}

func TestLinkDown(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.stalls(fault.LinkDown{Link: w.link})

		applied := w.apply(fault.LinkDown{Link: w.link})
		_, err := w.a.Dial(t.Context(), w.address())
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		_, err = fault.Apply(t.Context(), w.lab, fault.LinkDown{Link: w.link})
		assert.ErrorContains(t, err, "the state of eth0 on a is changed already")
		_, err = fault.Apply(t.Context(), w.lab, fault.Unplugged{Host: w.b})
		assert.ErrorContains(t, err, "the state of eth0 on b is changed already")
		w.heal(applied)
		w.listen()
		outcome, _ := w.attempt()
		assert.NoError(t, <-outcome)
	})
}

func TestUnplugged(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.stalls(fault.Unplugged{Host: w.b})

		// Both ends, healed in the order in which they were broken.
		first, second := w.apply(fault.Unplugged{Host: w.a}), w.apply(fault.Unplugged{Host: w.b})
		_, err := w.a.Dial(t.Context(), w.address())
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		w.heal(first)
		w.heal(second)
		w.listen()
		outcome, _ := w.attempt()
		assert.NoError(t, <-outcome)
	})
}

func TestBlackHole(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.stalls(fault.BlackHole{On: w.a, To: w.b})

		prefix := netip.PrefixFrom(w.link.Addr(w.b, w.family), map[rig.Family]int{rig.IPv4: 24, rig.IPv6: 64}[w.family])
		for _, f := range []fault.BlackHole{{On: w.a, To: w.b}, {On: w.a, Prefix: prefix}} {
			applied := w.apply(f)
			_, err := w.a.Dial(t.Context(), w.address())
			assert.ErrorIs(t, err, syscall.EINVAL, "%v", f)
			_, err = fault.Apply(t.Context(), w.lab, f)
			assert.ErrorContains(t, err, "is changed already")
			w.heal(applied)
		}
		listener := w.listen()
		outcome, _ := w.attempt()
		require.NoError(t, <-outcome)
		conn, err := listener.Accept()
		require.NoError(t, err)
		conn.Close()

		// On the way back: b hears and cannot answer.
		back := w.apply(fault.BlackHole{On: w.b, To: w.a})
		outcome, giveUp := w.attempt()
		w.stuck(w.a)
		giveUp()
		assert.Error(t, <-outcome)
		w.heal(back)
	})
}

func TestPartition(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.stalls(fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}})
		w.stalls(fault.Partition{Between: []*rig.Host{w.b}, And: []*rig.Host{w.a}})
		w.stalls(fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}, OneWay: true})
	})
}

// TestOneWayPartition: what b sends arrives, what a sends does not.
func TestOneWayPartition(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		applied := w.apply(fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}, OneWay: true})
		w.passes(far, near, 1000) // its answers are lost
		w.stuck(w.b)
		_, err := near.Write([]byte("x"))
		require.NoError(t, err)
		w.stuck(w.a)
		w.heal(applied)
		w.idle(w.a)
		w.idle(w.b)
	})
}

// TestPartitionsOverlap: each is healed for itself, and others are not hit.
func TestPartitionsOverlap(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		c := w.lab.NewHost("c")
		w.lab.NewLink(c, w.b)
		near, far := w.pair()
		first := w.apply(fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}})
		second := w.apply(fault.Partition{Between: []*rig.Host{w.a, c}, And: []*rig.Host{w.b}})
		third := w.apply(fault.Partition{Between: []*rig.Host{c}, And: []*rig.Host{w.a}})
		_, err := near.Write([]byte("x"))
		require.NoError(t, err)
		w.stuck(w.a)
		w.heal(first)
		before, err := w.a.Counters()
		require.NoError(t, err)
		require.NoError(t, rig.Await(t.Context(), "one more retransmission", func() (bool, string, error) {
			now, err := w.a.Counters()
			return now.Since(before)["TcpRetransSegs"] > 0, "none", err
		}))
		sockets, err := w.a.Sockets()
		require.NoError(t, err)
		assert.EqualValues(t, 1, sockets.In(rig.Established)[0].SendQueue, "still parted")
		w.heal(second)
		w.passes(far, near, 1000)
		w.heal(third)
		got := make([]byte, 1)
		_, err = io.ReadFull(far, got)
		require.NoError(t, err)
	})
}

func TestReset(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		w.passes(near, far, 1000)
		w.idle(w.a)
		applied := w.apply(fault.Reset{From: []*rig.Host{w.a}, To: []*rig.Host{w.b}, ToPort: echoPort})
		_, err := near.Write([]byte("x"))
		require.NoError(t, err)
		_, err = near.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET, "the sender learns")
		sockets, err := w.b.Sockets()
		require.NoError(t, err)
		assert.Len(t, sockets.On(echoPort).In(rig.Established), 1, "the receiver does not")

		listener := w.listen()
		outcome, _ := w.attempt()
		assert.ErrorIs(t, <-outcome, syscall.ECONNREFUSED, "nor can anybody connect")
		w.heal(applied)
		outcome, _ = w.attempt()
		require.NoError(t, <-outcome)
		conn, err := listener.Accept()
		require.NoError(t, err)
		conn.Close()
		_, err = far.Write([]byte("x"))
		require.NoError(t, err)
		_, err = far.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET, "until it sends")
	})
}

func TestResetMatches(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		for _, other := range []fault.Reset{
			{From: []*rig.Host{w.b}, To: []*rig.Host{w.b}},
			{To: []*rig.Host{w.b}, ToPort: echoPort + 1},
			{To: []*rig.Host{w.b}, FromPort: echoPort},
			{To: []*rig.Host{w.a}, ToPort: echoPort},
			{From: []*rig.Host{w.a}, To: []*rig.Host{w.b}, AfterBytes: 1 << 30},
			{From: []*rig.Host{w.a}, To: []*rig.Host{w.b}, AfterBytes: 1 << 30, Both: true},
		} {
			applied := w.apply(other)
			w.passes(near, far, 1000)
			w.passes(far, near, 1000)
			w.idle(w.a)
			w.idle(w.b)
			w.heal(applied)
		}
		w.apply(fault.Reset{From: []*rig.Host{w.b}, To: []*rig.Host{w.a}, FromPort: echoPort})
		_, err := far.Write([]byte("x"))
		require.NoError(t, err)
		_, err = far.Read(make([]byte, 1))
		assert.ErrorIs(t, err, syscall.ECONNRESET, "the server that sends learns")
	})
}

func TestResetOfBothSides(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		w.passes(near, far, 1000)
		w.passes(far, near, 1000)
		w.idle(w.a)
		w.idle(w.b)
		w.apply(fault.Reset{From: []*rig.Host{w.a}, To: []*rig.Host{w.b}, Both: true})
		_, err := near.Write([]byte("x"))
		require.NoError(t, err)
		for _, conn := range []net.Conn{far, near} {
			_, err = conn.Read(make([]byte, 1))
			assert.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

// TestResetAfterBytes: a transfer ends in its middle, a short one does not.
func TestResetAfterBytes(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.apply(fault.Reset{To: []*rig.Host{w.b}, ToPort: echoPort, AfterBytes: 1 << 20})
		near, far := w.pair()
		w.passes(near, far, 500_000)
		var received int64
		var reading sync.WaitGroup
		reading.Go(func() { received, _ = io.Copy(io.Discard, far) })
		_, err := near.Write(make([]byte, 64<<20))
		assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
		require.NoError(t, far.SetReadDeadline(time.Now()))
		reading.Wait()
		assert.LessOrEqual(t, received, int64(1<<20-500_000))
	})
}

// TestNetworkFaultsRefuse what cannot be meant.
func TestNetworkFaultsRefuse(t *testing.T) {
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 2)
	link, lonely := clients[0].Links()[0], lab.NewHost("lonely")
	other := rig.New(t)
	stranger, strangers := other.NewStar("stranger", "friend", 1)
	one := func(h *rig.Host) []*rig.Host { return []*rig.Host{h} }
	for _, wrong := range []struct {
		fault fault.Fault
		says  string
	}{
		{fault.LinkDown{}, "the link is nil"},
		{fault.LinkDown{Link: strangers[0].Links()[0]}, "another lab"},
		{fault.Unplugged{}, "Host is nil"},
		{fault.Unplugged{Host: stranger}, "another lab"},
		{fault.Unplugged{Host: lonely}, "lonely has no link: make one first"},
		{fault.BlackHole{}, "On is nil"},
		{fault.BlackHole{On: server}, "give one of them"},
		{fault.BlackHole{On: server, To: stranger}, "another lab"},
		{fault.BlackHole{On: server, To: server}, "server itself"},
		{fault.BlackHole{On: server, To: lonely}, "lonely has no address"},
		{fault.BlackHole{On: server, To: clients[0], Prefix: netip.MustParsePrefix("10.0.0.0/8")}, "both To and Prefix are given"},
		{fault.Partition{}, "name a host in each"},
		{fault.Partition{Between: one(server), And: one(nil)}, "a host of And is nil"},
		{fault.Partition{Between: one(server), And: one(stranger)}, "another lab"},
		{fault.Partition{Between: one(server), And: one(server)}, "server is in Between and in And"},
		{fault.Partition{Between: one(server), And: []*rig.Host{clients[0], clients[0]}}, "names client1 twice"},
		{fault.Partition{Between: one(lonely), And: one(server)}, "lonely has no address"},
		{fault.Reset{}, "To is empty"},
		{fault.Reset{From: one(lonely), To: one(server)}, "lonely has no address"},
		{fault.Reset{To: one(nil)}, "a host of To is nil"},
		{fault.Impairment{}, "the link is nil"},
		{fault.Impairment{Link: link}, "From is nil"},
		{fault.Impairment{Link: link, From: clients[1]}, "link server-client1 does not reach: give server or client1"},
		{fault.Impairment{Link: link, From: server, Loss: 1.5}, "Loss is 1.5: give a probability from 0 to 1"},
		{fault.Impairment{Link: link, From: server, Reorder: -1}, "Reorder is -1"},
		{fault.Impairment{Link: link, From: server, Delay: -time.Second}, "Delay is -1s: give 0 or more"},
		{fault.Impairment{Link: link, From: server, QueueBytes: 5000}, "QueueBytes without RateBitsPerSecond"},
		{fault.Impairment{Link: link, From: server, RateBitsPerSecond: 7}, "RateBitsPerSecond is 7"},
		{fault.MTU{}, "the link is nil"},
		{fault.MTU{Link: link, Bytes: 60}, "Bytes is 60: give 68 to 65535"},
		{fault.MTU{Link: link, Bytes: 1000, Silent: true, On: lonely}, "does not reach"},
	} {
		_, err := fault.Apply(t.Context(), lab, wrong.fault)
		assert.ErrorContains(t, err, wrong.says, "%#v", wrong.fault)
		if err != nil {
			assert.NotContains(t, err.Error(), "%!")
		}
	}
}
