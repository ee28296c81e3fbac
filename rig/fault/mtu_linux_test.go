// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// mtu reads what the host's device has.
func (w *wire) mtu(host *rig.Host) (mtu int) {
	w.tb.Helper()
	require.NoError(w.tb, host.Do(func() error {
		device, err := net.InterfaceByName(w.link.Device(host))
		if err == nil {
			mtu = device.MTU
		}
		return err
	}))
	return mtu
}

// TestMTU: a connection that stands sends shorter packets.
func TestMTU(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		packets := func() int64 {
			before, err := w.a.Counters()
			require.NoError(t, err)
			const bytes = 1_000_000
			w.passes(near, far, bytes)
			w.idle(w.a)
			after, err := w.a.Counters()
			require.NoError(t, err)
			return after.Since(before)["TcpOutSegs"]
		}
		packets()
		usual := packets()
		const bytes = 1280
		applied := w.apply(fault.MTU{Link: w.link, Bytes: bytes})
		assert.Equal(t, []int{bytes, bytes}, []int{w.mtu(w.a), w.mtu(w.b)})
		assert.Greater(t, packets(), usual*115/100)
		_, err := fault.Apply(t.Context(), w.lab, fault.MTU{Link: w.link, Bytes: 1400, On: w.b})
		assert.ErrorContains(t, err, "the MTU of eth0 on b is changed already")
		w.heal(applied)
		assert.Equal(t, []int{1500, 1500}, []int{w.mtu(w.a), w.mtu(w.b)})
		packets()

		one := w.apply(fault.MTU{Link: w.link, Bytes: bytes, On: w.a})
		assert.Equal(t, []int{bytes, 1500}, []int{w.mtu(w.a), w.mtu(w.b)})
		w.heal(one)
		assert.Equal(t, 1500, w.mtu(w.a))
	})
}

// TestMTUWithoutIPv6: below its least MTU it goes, and comes back.
func TestMTUWithoutIPv6(t *testing.T) {
	w := newWire(t, rig.IPv6)
	listener := w.listen()
	applied := w.apply(fault.MTU{Link: w.link, Bytes: 600})
	_, err := w.a.Dial(t.Context(), w.address())
	require.Error(t, err)
	w.heal(applied)
	conn, err := w.a.Dial(t.Context(), w.address())
	require.NoError(t, err)
	conn.Close()
	accepted, err := listener.Accept()
	require.NoError(t, err)
	accepted.Close()
}

// TestSilentMTU: short messages pass, long ones do not.
func TestSilentMTU(t *testing.T) {
	inEach(t, func(t *testing.T, w *wire) {
		near, far := w.pair()
		first := w.apply(fault.MTU{Link: w.link, Bytes: 1400, Silent: true})
		second := w.apply(fault.MTU{Link: w.link, Bytes: 1300, Silent: true, On: w.b})
		w.passes(near, far, 1000)
		w.passes(far, near, 1000)
		w.idle(w.a)
		sent := pattern(30_000)
		_, err := near.Write(sent)
		require.NoError(t, err)
		w.stuck(w.a)
		w.heal(second)
		w.heal(first)
		got := make([]byte, len(sent))
		_, err = io.ReadFull(far, got)
		require.NoError(t, err)
		assert.Equal(t, sent, got)
		w.passes(far, near, 1000)
	})
}
