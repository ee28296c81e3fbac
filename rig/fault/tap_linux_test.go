// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
)

// A tap shows the TCP segments that reach a host (packet(7)).
type tap struct {
	tb testing.TB
	fd int // owned
}

// watch begins to watch what reaches the host on all its links. Requires
// CONFIG_PACKET and CAP_NET_RAW.
func watch(tb testing.TB, h *rig.Host) *tap {
	tb.Helper()
	w := &tap{tb: tb}
	everything := int(binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff}))
	require.NoError(tb, h.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, everything)
		return err
	}))
	tb.Cleanup(func() { unix.Close(w.fd) })
	return w
}

// seen is how many segments arrived, and how many of them with such a flag.
type seen struct{ All, FIN, RST int }

// look returns what has arrived since the last look.
func (w *tap) look() seen {
	w.tb.Helper()
	var s seen
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(w.fd, buffer, 0)
		if err == unix.EAGAIN {
			return s
		}
		require.NoError(w.tb, err)
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		packet := buffer[:n]
		header := 40 // of IPv6, which has no extension headers here
		protocol := byte(0)
		switch packet[0] >> 4 {
		case 4:
			header, protocol = int(packet[0]&15)*4, packet[9]
		case 6:
			protocol = packet[6]
		}
		if protocol != unix.IPPROTO_TCP {
			continue
		}
		const fin, rst = 1, 4
		flags := packet[header+13]
		s.All++
		if flags&fin != 0 {
			s.FIN++
		}
		if flags&rst != 0 {
			s.RST++
		}
	}
}
