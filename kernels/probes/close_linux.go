// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// closeProbes ask how connections begin and end: close, RST, disconnect, simultaneous open.
var closeProbes = []Probe{{
	ID:     "K26",
	Name:   "what close sends when everything was read and the peer had repeated what it sent",
	Source: "commit 5f9238530970 (Linux 6.18, 6.17.8 or before, 6.12.53, 6.1.156, 5.10.246); packetdrill tcp_close_no_rst; RFC 2525, 2.17",
	ask:    askCloseAfterRepeat,
}, {
	ID:     "K27",
	Name:   "disconnect (connect to AF_UNSPEC) while another thread reads",
	Source: "commits 4faeee0cf8a5 (Linux 6.4, 6.1.33, 5.10.183) and 419ce133ab92 (6.6, 6.5.9, 6.1.60)",
	ask: func(n *namespace) string {
		listener := n.listener("127.0.0.1:5000", 1)
		client, _ := n.pair(listener, "127.0.0.1:5000")
		read := client.wait(func() error {
			_, err := unix.Read(client.fd, make([]byte, 1))
			return err
		})
		before := read.sleeps()
		err := client.disconnect()
		return errorName(err) + ", read: " + read.end(before)
	},
}, {
	ID:     "K29",
	Name:   "SOCK_DESTROY of a socket without a process in FIN_WAIT1",
	Source: "commit bac76cf89816 (Linux 6.11, 6.10.8, 6.1.132); sock_diag(7)",
	ask: func(n *namespace) string {
		n.needDestroy()
		listener := n.bound("127.0.0.1:5000")
		n.must(listener.set(unix.SOL_SOCKET, unix.SO_RCVBUF, smallBuffer), "set SO_RCVBUF")
		n.must(listener.listen(1), "listen")
		client, _ := n.pair(listener, "127.0.0.1:5000")
		client.write(8 * smallBuffer) // so that its FIN waits behind bytes
		port := client.port()
		client.close()
		if !n.hasRow(port, unix.BPF_TCP_FIN_WAIT1) {
			n.fail("no socket is in FIN_WAIT1 after close with data unsent")
		}
		if err := n.destroy(port, 5000); err != nil {
			return errorName(err)
		}
		if n.hasRow(port, unix.BPF_TCP_FIN_WAIT1) {
			return "it stays"
		}
		return "it is gone"
	},
}, {
	ID:     "K30",
	Name:   "challenge ACKs in a simultaneous open",
	Source: "commit 23e89e8ee7be (Linux 6.11, 6.10.10, 6.1.110); RFC 9293, 3.5, figure 7",
	ask: func(n *namespace) string {
		s := n.bound("127.0.0.1:5000")
		n.must(s.connect("127.0.0.1:5000"), "connect a socket to itself")
		s.awaitState(unix.BPF_TCP_ESTABLISHED)
		return strconv.Itoa(n.counter("TCPSYNChallenge"))
	},
}, {
	ID:     "K31",
	Name:   "challenge ACKs for each second",
	Source: "commit 79e3602caa6f (Linux 6.0): tcp_challenge_ack_limit has no end instead of 1000; RFC 5961, 7",
	ask: func(n *namespace) string {
		return n.sysctl("tcp_challenge_ack_limit")
	},
}}

// askCloseAfterRepeat has a peer that sends 1,000 bytes twice, the second time with its FIN.
func askCloseAfterRepeat(n *namespace) string {
	n.setSysctl("tcp_timestamps", "0") // the segment below has none
	wire := n.wire()
	listener := n.listener("127.0.0.1:5000", 1)
	client, server := n.pair(listener, "127.0.0.1:5000")
	const length = 1000
	client.write(length)
	sent := wire.next("the bytes", func(s segment) bool { return s.payload == length })
	server.readAll(length)
	sent.flags |= flagFIN
	wire.send(sent)
	server.awaitState(unix.BPF_TCP_CLOSE_WAIT)
	server.close()
	last := wire.next("a FIN or a RST", func(s segment) bool { return s.from == 5000 && s.flags&(flagFIN|flagRST) != 0 })
	if last.has(flagRST) {
		return "RST"
	}
	return "FIN"
}
