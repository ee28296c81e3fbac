// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/internal/machine"
)

// numbered sends numbered datagrams from one host to another.
type numbered struct {
	w    *wire
	from *net.UDPConn
	to   *net.UDPConn
	next uint32
}

func (w *wire) numbered(from, to *rig.Host) *numbered {
	w.tb.Helper()
	n := &numbered{w: w}
	address := net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.link.Addr(to, w.family), echoPort))
	require.NoError(w.tb, to.Do(func() (err error) {
		n.to, err = net.ListenUDP("udp", address)
		return err
	}))
	w.tb.Cleanup(func() { n.to.Close() })
	require.NoError(w.tb, n.to.SetReadBuffer(4<<20))
	require.NoError(w.tb, from.Do(func() (err error) {
		n.from, err = net.DialUDP("udp", nil, address)
		return err
	}))
	w.tb.Cleanup(func() { n.from.Close() })
	return n
}

// send sends so many, of the given size each.
func (n *numbered) send(count, size int) {
	n.w.tb.Helper()
	for range count {
		_, err := n.from.Write(binary.BigEndian.AppendUint32(pattern(size-4), n.next))
		require.NoError(n.w.tb, err)
		n.next++
	}
}

// receive returns the numbers of the next datagrams, and checks their bytes.
func (n *numbered) receive(count int) []uint32 {
	n.w.tb.Helper()
	var all []uint32
	buffer := make([]byte, 1<<16)
	require.NoError(n.w.tb, n.to.SetReadDeadline(time.Now().Add(rig.Patience())))
	for len(all) < count {
		size, err := n.to.Read(buffer)
		require.NoError(n.w.tb, err, "after %v", all)
		require.Equal(n.w.tb, pattern(size-4), buffer[:size-4])
		all = append(all, binary.BigEndian.Uint32(buffer[size-4:size]))
	}
	return all
}

// rest returns what else has arrived, once nothing more can be under way: another
// datagram that is sent now has come.
func (n *numbered) rest() []uint32 {
	n.w.tb.Helper()
	last := n.next
	n.send(1, 8)
	var all []uint32
	for {
		next := n.receive(1)[0]
		if next == last {
			return all
		}
		all = append(all, next)
	}
}

func upTo(n uint32) []uint32 {
	var all []uint32
	for i := range n {
		all = append(all, i)
	}
	return all
}

// countersClean checks that no host dropped anything for its bytes.
func (w *wire) countersClean() {
	w.tb.Helper()
	for _, host := range []*rig.Host{w.a, w.b} {
		c, err := host.Counters()
		require.NoError(w.tb, err)
		for _, name := range []string{"TcpInErrs", "TcpInCsumErrors", "UdpInErrors", "UdpInCsumErrors", "Udp6InCsumErrors", "Udp6InErrors", "IpInHdrErrors"} {
			assert.Zero(w.tb, c[name], "%s of %v", name, host)
		}
	}
}

// relayed waits until so many packets have entered a relay.
func (w *wire) relayed(tally *fault.Tally, packets int64) {
	w.tb.Helper()
	require.NoError(w.tb, rig.Await(w.tb.Context(), "packets at the relay", func() (bool, string, error) {
		return tally.Packets.Load() == packets, tally.String(), nil
	}))
}

// TestRelayPassesEverything: TCP in both directions, and datagrams, with every
// byte and checksum right, nothing twice and in order.
func TestRelayPassesEverything(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		var there, back fault.Tally
		first := w.apply(fault.Impairment{Link: w.link, From: w.a, Tally: &there})
		second := w.apply(fault.Impairment{Link: w.link, From: w.b, Tally: &back})
		near, far := w.pair()
		const bytes = 4 << 20
		w.passes(near, far, bytes)
		w.passes(far, near, bytes)
		const longest = 1460
		assert.Greater(t, there.Packets.Load(), int64(bytes/longest), "packets are as on a wire")
		assert.Greater(t, back.Packets.Load(), int64(bytes/longest))

		n := w.numbered(w.a, w.b)
		var got []uint32
		for range 5 { // as many as a receive buffer of 208 KiB holds (net.core.rmem_default)
			n.send(40, 1000)
			got = append(got, n.receive(40)...)
		}
		assert.Equal(t, upTo(200), got)
		n.send(1, 9000) // in fragments
		n.receive(1)
		assert.Empty(t, n.rest())
		w.heal(first)
		w.heal(second)
		before := there.Packets.Load()
		w.passes(near, far, bytes)
		assert.Equal(t, before, there.Packets.Load(), "healed: nothing is relayed")
		for _, host := range []*rig.Host{w.a, w.b} {
			c, err := host.Counters()
			require.NoError(t, err)
			assert.LessOrEqual(t, c["TcpExtTCPDSACKRecv"], c["TcpRetransSegs"], "nothing arrived twice that was sent once")
		}
		w.countersClean()
	})
}

// TestRelayComesAndGoes: nothing is lost and nothing doubled at the moments when
// an impairment begins and ends, under way or not.
func TestRelayComesAndGoes(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		n := w.numbered(w.a, w.b)
		const all = 6000
		var sending sync.WaitGroup
		halt := make(chan struct{})
		var sent uint32
		var come atomic.Uint32
		sending.Go(func() {
			for sent = 0; sent < all; {
				const underWay = 100 // a receive buffer holds 200 or so (net.core.rmem_default)
				if sent-come.Load() >= underWay {
					select {
					case <-halt:
						return
					case <-time.After(20 * time.Microsecond):
					}
					continue
				}
				if _, err := n.from.Write(binary.BigEndian.AppendUint32(pattern(96), sent)); err != nil {
					return
				}
				sent++
				select {
				case <-halt:
					return
				case <-time.After(20 * time.Microsecond):
				}
			}
		})
		var got []uint32
		end := make(chan error, 1)
		go func() {
			buffer := make([]byte, 1<<16)
			for {
				size, err := n.to.Read(buffer)
				if err != nil {
					end <- err
					return
				}
				got = append(got, binary.BigEndian.Uint32(buffer[size-4:size]))
				come.Add(1)
			}
		}()
		for i := range 10 {
			w.heal(w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: time.Duration(i%2) * 5 * time.Millisecond}))
		}
		close(halt)
		sending.Wait()
		awaitErr := rig.Await(t.Context(), "all datagrams", func() (bool, string, error) {
			return come.Load() >= sent, fmt.Sprintf("%d of %d", come.Load(), sent), nil
		})
		require.NoError(t, n.to.SetReadDeadline(time.Now()))
		require.ErrorIs(t, <-end, os.ErrDeadlineExceeded)
		require.NoError(t, awaitErr)
		n.next = sent
		assert.Empty(t, n.rest())
		slices.Sort(got)
		assert.Equal(t, upTo(sent), got, "each once")
	})
}

// TestLoss: everything, and then a share that the seed determines.
func TestLoss(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		w.stalls(fault.Impairment{Link: w.link, From: w.a, Loss: 1})

		n := w.numbered(w.a, w.b)
		n.send(1, 100)
		n.receive(1)
		var fates [2][]uint32
		for i := range fates {
			var tally fault.Tally
			lossy := w.apply(fault.Impairment{Link: w.link, From: w.a, Loss: 0.2, Seed: 42, Tally: &tally})
			n.next = 0
			n.send(100, 100)
			w.relayed(&tally, 100)
			w.heal(lossy)
			fates[i] = n.rest()
			assert.EqualValues(t, 100-len(fates[i]), tally.Lost.Load())
		}
		assert.Equal(t, fates[0], fates[1], "the seed repeats it")
		assert.Less(t, len(fates[0]), 95)
		assert.Greater(t, len(fates[0]), 50)
	})
}

func TestDuplicate(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		n := w.numbered(w.a, w.b)
		applied := w.apply(fault.Impairment{Link: w.link, From: w.a, Duplicate: 1})
		n.send(3, 1200)
		assert.Equal(t, []uint32{0, 0, 1, 1, 2, 2}, n.receive(6))
		w.heal(applied)
		n.send(1, 1200)
		assert.Equal(t, []uint32{3}, n.receive(1))
		assert.Empty(t, n.rest())
	})
}

func TestReorder(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		n := w.numbered(w.a, w.b)
		var tally fault.Tally
		applied := w.apply(fault.Impairment{Link: w.link, From: w.a, Reorder: 0.1, Seed: 5, Tally: &tally})
		n.send(100, 100)
		got := n.receive(100)
		assert.False(t, slices.IsSorted(got), "%v", got)
		assert.Positive(t, tally.Reordered.Load())
		slices.Sort(got)
		assert.Equal(t, upTo(100), got)
		w.heal(applied)
		n.next = 0
		n.send(100, 100)
		assert.Equal(t, upTo(100), n.receive(100))

		near, far := w.pair()
		applied = w.apply(fault.Impairment{Link: w.link, From: w.a, Reorder: 0.1, Duplicate: 0.1, Loss: 0.05, Jitter: 2 * time.Millisecond})
		w.passes(near, far, 1<<20)
		w.heal(applied)
		w.passes(near, far, 1<<20)
		w.countersClean()
	})
}

// TestDelay compares round trips with and without, in one run.
func TestDelay(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		roundTrip := func() time.Duration {
			start := time.Now()
			w.passes(near, far, 100)
			w.passes(far, near, 100)
			return time.Since(start)
		}
		roundTrip()
		const delay = 60 * time.Millisecond
		there := w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: delay})
		assert.GreaterOrEqual(t, roundTrip(), delay)
		back := w.apply(fault.Impairment{Link: w.link, From: w.b, Delay: delay, Jitter: time.Millisecond})
		assert.GreaterOrEqual(t, roundTrip(), 2*delay)
		w.heal(there)
		w.heal(back)
		require.NoError(t, rig.Await(t.Context(), "a round trip without delay", func() (bool, string, error) {
			took := roundTrip()
			return took < delay, took.String(), nil
		}))
	})
}

// processors are those that the main thread may run on.
func processors(t *testing.T) []int {
	all, err := machine.Processors()
	require.NoError(t, err)
	return all
}

// TestHealingLetsArriveWhatIsUnderWay: at once and in order.
func TestHealingLetsArriveWhatIsUnderWay(t *testing.T) {
	before := len(processors(t))
	inEach(t, func(t *testing.T, w *wire) {
		n := w.numbered(w.a, w.b)
		n.send(1, 100)
		n.receive(1)
		applied := w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: time.Hour, Reorder: 0.5})
		n.next = 0
		n.send(50, 1400)
		w.heal(applied)
		assert.Equal(t, upTo(50), n.receive(50))
		assert.Empty(t, n.rest())
		assert.Len(t, processors(t), before, "no thread stays on one processor")
	})
}

// TestRate: so many bytes take at least so long, and what the queue does not hold
// is lost.
func TestRate(t *testing.T) {
	for name, inKernel := range map[string]bool{"relay": false, "tbf": true} {
		t.Run(name, func(t *testing.T) {
			inEach(t, func(t *testing.T, w *wire) {
				near, far := w.pair()
				const bitsPerSecond, bytes = 16_000_000, 600_000 // 300 ms, the burst of tbf among them
				applied := w.apply(fault.Impairment{Link: w.link, From: w.a, RateBitsPerSecond: bitsPerSecond, InKernel: inKernel})
				start := time.Now()
				w.passes(near, far, bytes)
				assert.GreaterOrEqual(t, time.Since(start), 250*time.Millisecond)
				w.heal(applied)
				require.NoError(t, rig.Await(t.Context(), "a transfer that is faster", func() (bool, string, error) {
					start := time.Now()
					w.passes(near, far, bytes)
					took := time.Since(start)
					return took < 200*time.Millisecond, took.String(), nil
				}))

				n := w.numbered(w.a, w.b)
				var tally fault.Tally
				applied = w.apply(fault.Impairment{Link: w.link, From: w.a, RateBitsPerSecond: 80_000, QueueBytes: 5000, InKernel: inKernel, Tally: &tally})
				for range 20 {
					_, _ = n.from.Write(binary.BigEndian.AppendUint32(pattern(996), n.next)) // ENOBUFS from tbf
					n.next++
				}
				got := n.receive(4)
				w.heal(applied)
				got = append(got, n.rest()...)
				assert.Less(t, len(got), 10, "%v", got)
				if !inKernel {
					assert.EqualValues(t, 20-len(got), tally.Overflowed.Load())
				}
			})
		})
	}
}

// TestNetem is for kernels that have it.
func TestNetem(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		const delay = 60 * time.Millisecond
		applied := w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: delay, InKernel: true})
		start := time.Now()
		w.passes(near, far, 100)
		assert.GreaterOrEqual(t, time.Since(start), delay)
		_, err := fault.Apply(t.Context(), w.lab, fault.Impairment{Link: w.link, From: w.a, RateBitsPerSecond: 1e6, InKernel: true})
		assert.ErrorContains(t, err, "the queueing discipline of eth0 on a is changed already")
		w.heal(applied)
		w.stalls(fault.Impairment{Link: w.link, From: w.a, Loss: 1, InKernel: true})
		applied = w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: time.Millisecond, Loss: 0.05, Duplicate: 0.1, Reorder: 0.1, Jitter: time.Millisecond,
			RateBitsPerSecond: 100e6, InKernel: true})
		w.passes(near, far, 1<<20)
		w.heal(applied)
	})
}

// TestFaultsCompose on one link: each is healed for itself, in any order.
func TestFaultsCompose(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		var tally fault.Tally
		slow := w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: 10 * time.Millisecond, Duplicate: 0.1, Tally: &tally})
		_, err := fault.Apply(t.Context(), w.lab, fault.Impairment{Link: w.link, From: w.a})
		assert.ErrorContains(t, err, "the link has a detour in this direction")
		limited := w.apply(fault.Impairment{Link: w.link, From: w.a, RateBitsPerSecond: 50e6, InKernel: true})
		parted := w.apply(fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}})
		down := w.apply(fault.LinkDown{Link: w.link})
		_, err = near.Write([]byte("x"))
		require.NoError(t, err)
		w.stuck(w.a)
		w.heal(down)
		before := tally.Packets.Load()
		require.NoError(t, rig.Await(t.Context(), "a packet relayed after the link was down", func() (bool, string, error) {
			return tally.Packets.Load() > before, "none", nil
		}))
		sockets, err := w.a.Sockets()
		require.NoError(t, err)
		assert.EqualValues(t, 1, sockets.In(rig.Established)[0].SendQueue, "still parted")
		w.heal(parted)
		_, err = io.ReadFull(far, make([]byte, 1))
		require.NoError(t, err)
		small := w.apply(fault.MTU{Link: w.link, Bytes: 1300})
		w.passes(near, far, 200_000)
		w.heal(limited)
		w.heal(small)
		w.passes(far, near, 200_000)
		down = w.apply(fault.LinkDown{Link: w.link})
		w.heal(slow) // while nothing can arrive
		w.heal(down)
		w.passes(near, far, 200_000)
		w.countersClean()
	})
}

// TestRelayEnds with its goroutine and its sockets. It runs while no other test
// of the package does.
func TestRelayEnds(t *testing.T) {
	w := newWire(t, rig.IPv4)
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	w.heal(w.apply(fault.Impairment{Link: w.link, From: w.a}))
	before := count()
	for range 3 {
		applied := w.apply(fault.Impairment{Link: w.link, From: w.a, Delay: time.Hour})
		assert.Equal(t, before+2, count())
		_, err := fault.Apply(t.Context(), w.lab, fault.Impairment{Link: w.link, From: w.a})
		require.Error(t, err)
		assert.Equal(t, before+2, count())
		w.heal(applied)
		assert.Equal(t, before, count())
	}
	stacks := make([]byte, 1<<20)
	assert.False(t, strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*relay).run"))
}
