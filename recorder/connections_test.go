// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	clientAddress = netip.MustParseAddrPort("10.0.0.2:40000")
	serverAddress = netip.MustParseAddrPort("10.0.0.1:80")
)

func fromClient(s segment) segment {
	s.from, s.to, s.protocol, s.scale = clientAddress, serverAddress, "TCP", -1
	return s
}

func fromServer(s segment) segment {
	s.from, s.to, s.protocol, s.scale = serverAddress, clientAddress, "TCP", -1
	return s
}

func newConnections() connections {
	return connections{now: map[pair]*connection{}, answers: map[port][]answer{}, owner: func(string, netip.AddrPort) string { return "" }}
}

// TestWindowProbeIsNoKeepAlive: both have the number before the next one and no data.
func TestWindowProbeIsNoKeepAlive(t *testing.T) {
	all := newConnections()
	marks := func(s segment) []string { return all.ofSegment("", 0, s).enterSegment(s).Marks }
	assert.Empty(t, marks(fromClient(segment{ack: true, seq: 1000, bytes: 100, window: 500})))
	assert.Equal(t, []string{"keep-alive"}, marks(fromClient(segment{ack: true, seq: 1099, window: 500})))
	assert.Equal(t, []string{"zero window"}, marks(fromServer(segment{ack: true, seq: 5000})))
	assert.Equal(t, []string{"window probe"}, marks(fromClient(segment{ack: true, seq: 1099, window: 500})))
	assert.Empty(t, marks(fromServer(segment{ack: true, seq: 5000, window: 500})))
	assert.Equal(t, []string{"keep-alive"}, marks(fromClient(segment{ack: true, seq: 1099, window: 500})))
}

// TestNumbersAreRelative: also where the SYN was not seen.
func TestNumbersAreRelative(t *testing.T) {
	all := newConnections()
	var numbers [][2]uint32
	for _, s := range []segment{
		fromClient(segment{ack: true, seq: 1000, acked: 5000, bytes: 100}),
		fromServer(segment{ack: true, seq: 5000, acked: 1100, bytes: 30}),
		fromClient(segment{ack: true, seq: 1100, acked: 5030}),
	} {
		p := all.ofSegment("", 0, s).enterSegment(s)
		numbers = append(numbers, [2]uint32{p.Seq, p.Ack})
	}
	assert.Equal(t, [][2]uint32{{0, 0}, {0, 100}, {100, 30}}, numbers)
}
