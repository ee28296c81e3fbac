// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dataProbes ask about buffers, windows and timeouts.
var dataProbes = []Probe{{
	ID:     "K28",
	Name:   "a segment longer than what is left of the receive buffer",
	Source: "commit 1d2fbaad7cd8 (Linux 6.17) makes transfers crawl; 026dfef287c0 (7.0, 6.18.17, 6.19.7) takes it back",
	ask:    askLongSegment,
}, {
	ID:     "K33",
	Name:   "the largest receive buffer (tcp_rmem)",
	Source: "commit 572be9bf9d0d (Linux 6.16): 32 MiB instead of 6 MiB, and never more than 1/128 of the memory",
	ask: func(n *namespace) string {
		const before = 6 << 20
		values := strings.Fields(n.sysctl("tcp_rmem"))
		largest, err := strconv.Atoi(values[len(values)-1])
		n.must(err, "read tcp_rmem")
		switch {
		case largest < before:
			n.missing("1 GiB of memory", nil)
		case largest > before:
			return "more than 6 MiB"
		}
		return "6 MiB"
	},
}, {
	ID:     "K36",
	Name:   "whether a window that was offered is taken back, with tcp_shrink_window=1",
	Source: "commit b650d953cd39 (Linux 6.5, 6.1.59); RFC 7323, 2.4",
	ask:    askWindowTakenBack,
}, {
	ID:     "K41",
	Name:   "TCP_USER_TIMEOUT while the peer's window is closed",
	Source: "commits 9d9b1ee0b2d1 (Linux 5.11, 5.10.11) and 344db93ae3ee (5.10.13); TCP_USER_TIMEOUT in tcp(7); RFC 5482",
	ask: func(n *namespace) string {
		_, client := n.closedWindow()
		const millis, bound = 100, 5 * time.Second
		n.must(client.set(unix.SOL_TCP, unix.TCP_USER_TIMEOUT, millis), "set TCP_USER_TIMEOUT")
		if n.poll(bound, unix.POLLRDHUP, client) == nil {
			return "is ignored"
		}
		return errorName(client.error())
	},
}, {
	ID:     "K42",
	Name:   "TCP_USER_TIMEOUT that is over, while the peer's window is closed and ACKs come",
	Source: "commit 2b9f6f7065d4 (Linux 7.1, 6.12.91) fixes 344db93ae3ee (5.11)",
	ask:    askLateTimeout,
}}

// smallBuffer is a receive buffer that no segment of a probe fits in twice; the kernel doubles
// what is asked for (socket(7)).
const smallBuffer = 8192

// closedWindow returns a client that has bytes to send and whose peer, which does not read,
// has closed its window. Segments of the connection carry no timestamps.
func (n *namespace) closedWindow() (wire wire, client *socket) {
	n.setSysctl("tcp_timestamps", "0")
	wire = n.wire()
	listener := n.bound("127.0.0.1:5000")
	n.must(listener.set(unix.SOL_SOCKET, unix.SO_RCVBUF, smallBuffer), "set SO_RCVBUF")
	n.must(listener.listen(1), "listen")
	client, _ = n.pair(listener, "127.0.0.1:5000")
	n.must(client.set(unix.SOL_TCP, unix.TCP_NODELAY, 1), "set TCP_NODELAY")
	reply := wire.next("a SYN and ACK", func(s segment) bool { return s.has(flagSYN | flagACK) })
	written := uint32(0)
	for window := int(reply.window); window > 0; {
		client.write(window)
		written += uint32(window)
		ack := wire.next("the ACK of all bytes", func(s segment) bool {
			return s.from == 5000 && s.ack == reply.ack+written
		})
		window = int(ack.window) << max(reply.scale, 0)
	}
	client.write(1)
	return wire, client
}

func closesWindow(s segment) bool { return s.from == 5000 && s.window == 0 }

// askLongSegment takes the receive buffer away but for a little, and sends a segment that is
// longer and that the window, which is never taken back, allows.
func askLongSegment(n *namespace) string {
	listener := n.listener("127.0.0.1:5000", 1)
	client, server := n.pair(listener, "127.0.0.1:5000")
	const first, left, long = 20000, 2000, 10000
	client.write(first)
	server.awaitUnread(first)
	used, _ := server.memory()
	n.must(server.set(unix.SOL_SOCKET, unix.SO_RCVBUF, (used+left)/2), "set SO_RCVBUF") // which is doubled: socket(7)
	client.write(long)
	refused := func() bool { return n.counter("PruneCalled")+n.counter("TCPRcvQDrop") > 0 }
	n.await("a long segment to arrive", func() bool { return client.info().Unacked == 0 || refused() })
	if refused() {
		return "is refused"
	}
	return "is taken"
}

// askWindowTakenBack takes the receive buffer away and looks at the windows that the receiver
// offers before and after.
func askWindowTakenBack(n *namespace) string {
	n.setSysctl("tcp_shrink_window", "1")
	wire := n.wire()
	listener := n.listener("127.0.0.1:5000", 1)
	client, server := n.pair(listener, "127.0.0.1:5000")
	reply := wire.next("a SYN and ACK", func(s segment) bool { return s.has(flagSYN | flagACK) })
	// edge is the end of the bytes that may be sent after a write.
	edge := func() uint32 {
		client.write(1)
		n.await("an ACK", func() bool { return client.info().Unacked == 0 })
		all := slices.DeleteFunc(wire.all(), func(s segment) bool { return s.from != 5000 })
		if len(all) == 0 {
			n.fail("the ACK was not seen")
		}
		last := all[len(all)-1]
		return last.ack + uint32(last.window)<<reply.scale
	}
	before := edge()
	const little = 4096
	n.must(server.set(unix.SOL_SOCKET, unix.SO_RCVBUF, little), "set SO_RCVBUF")
	if int32(edge()-before) < 0 {
		return "it is taken back"
	}
	return "it is kept"
}

// askLateTimeout has a connection that probes a closed window already when it gets a short
// timeout. The next ACK arms the timer of the next probe anew, which must not be later than
// the timeout.
func askLateTimeout(n *namespace) string {
	wire, client := n.closedWindow()
	n.await("a probe of a closed window", func() bool { return n.counter("TCPWinProbe") > 0 })
	ack := wire.next("the ACK of a probe", closesWindow)
	const old = 50 // ms, more than the timeout below is in any kernel
	n.await("time to pass since the ACK of a probe", func() bool { return client.info().Last_ack_recv >= old })
	const millis = 1
	n.must(client.set(unix.SOL_TCP, unix.TCP_USER_TIMEOUT, millis), "set TCP_USER_TIMEOUT")
	n.await("an ACK to arrive", func() bool {
		wire.send(ack)
		return client.info().Last_ack_recv < old
	})
	const soon = 100 * time.Millisecond // half of the shortest time to the next probe
	for _, row := range n.rows() {
		if row.remote == 5000 && row.timer > soon {
			return "the next ACK puts it off"
		}
	}
	client.awaitEvents(unix.POLLRDHUP, "the end of a timeout")
	return errorName(client.error())
}
