// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// listenProbes ask about backlogs, and what listen and accept answer.
var listenProbes = []Probe{{
	ID:     "K14",
	Name:   "the longest backlog of listen(fd, 1000)",
	Source: "commit 19f92a030ca6 (Linux 5.4): somaxconn is 4096 instead of 128; listen(2)",
	ask: func(n *namespace) string {
		// Of a listening socket, tcpi_sacked is the backlog (tcp_get_info).
		return strconv.Itoa(int(n.listener("127.0.0.1:5000", 1000).info().Sacked))
	},
}, {
	ID:     "K15",
	Name:   "clients that connect to listen(fd, 0), without SYN cookies",
	Source: "commit 3479c7549fb1 (Linux 6.13, 6.12.10, 6.1.125, 5.10.234)",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_syncookies", "0")
		n.listener("127.0.0.1:5000", 0)
		const clients = 3
		connected := 0
		for range clients {
			if n.serves("127.0.0.1:5000") {
				connected++
			}
		}
		return fmt.Sprintf("%d of %d connect", connected, clients)
	},
}, {
	ID:     "K19",
	Name:   "when a SYN is repeated for the second time",
	Source: "commit ccce324dabfe (Linux 6.5): tcp_syn_linear_timeouts; RFC 6298, 5.5",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_syncookies", "0")
		n.listener("127.0.0.1:5000", 0)
		n.serves("127.0.0.1:5000") // takes the only place in the queue, where there is one
		client := n.tcp("127.0.0.1:5000")
		n.must(client.connect("127.0.0.1:5000"), "connect")
		n.await("a repeated SYN", func() bool { return client.info().Retransmits > 0 })
		if client.info().Backoff == 0 {
			return "after the same time"
		}
		return "after twice the time"
	},
}, {
	ID:     "K20",
	Name:   "state of an accepted connection whose listener was shut down for writing before listen",
	Source: "commits 94062790aedb (Linux 6.9, 6.8.10, 6.1.91, 5.10.217; CVE-2024-36905) and 26afda78cda3",
	ask: func(n *namespace) string {
		listener := n.tcp("127.0.0.1:5000")
		if err := unix.Shutdown(listener.fd, unix.SHUT_WR); !errors.Is(err, unix.ENOTCONN) {
			n.must(err, "shutdown")
		}
		n.must(listener.bind("127.0.0.1:5000"), "bind")
		n.must(listener.listen(1), "listen")
		client := n.tcp("127.0.0.1:5000")
		n.must(client.connect("127.0.0.1:5000"), "connect")
		// The FIN leaves with the last step of the handshake, before accept can return.
		switch state := listener.accept().state(); state {
		case unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2:
			return "its FIN is sent"
		default:
			return stateNames[state]
		}
	},
}, {
	ID:     "K21",
	Name:   "listen on a socket that had kernel TLS and was disconnected",
	Source: "commits 2c02d41d71f9 (Linux 6.2, 6.1.5, 5.15.88, 5.10.163; CVE-2023-0461) and 5071a1e606b3 (6.15)",
	ask: func(n *namespace) string {
		listener := n.listener("127.0.0.1:5000", 1)
		client, _ := n.pair(listener, "127.0.0.1:5000")
		err := unix.SetsockoptString(client.fd, unix.SOL_TCP, unix.TCP_ULP, "tls")
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOPROTOOPT) {
			n.missing("kTLS (CONFIG_TLS)", err)
		}
		n.must(err, "set TCP_ULP")
		if err := client.disconnect(); err != nil {
			return "disconnect: " + errorName(err)
		}
		n.must(client.bind("127.0.0.1:5001"), "bind")
		return errorName(client.listen(1))
	},
}, {
	ID:     "K22",
	Name:   "a half-open connection after a RST whose sequence number is in the window and not exact",
	Source: "commit a28c4fcbf774 (Linux 7.1, 6.12.105, 6.1.191; CVE-2026-68118); RFC 5961, 3.2",
	ask:    askInexactReset,
}, {
	ID:     "K23",
	Name:   "SOCK_DESTROY of a listener of MPTCP",
	Source: "commit 4c0288299fd0 (Linux 6.7, 6.6.11, 6.1.72); sock_diag(7)",
	ask: func(n *namespace) string {
		n.needDestroy()
		listener, err := n.open(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
		if err != nil {
			n.missing("MPTCP (CONFIG_MPTCP)", err)
		}
		n.must(listener.bind("127.0.0.1:5000"), "bind")
		n.must(listener.listen(1), "listen")
		return errorName(n.destroy(5000, 0))
	},
}}

// serves says whether a listener takes one more client, or drops its SYN.
func (n *namespace) serves(address string) bool {
	dropped := n.counter("ListenDrops")
	client := n.tcp(address)
	n.must(client.connect(address), "connect")
	n.await("the answer to a SYN, or that it is dropped", func() bool {
		return client.state() == unix.BPF_TCP_ESTABLISHED || n.counter("ListenDrops") > dropped
	})
	return client.state() == unix.BPF_TCP_ESTABLISHED
}

// askInexactReset has a half-open connection, whose client is connected: the last step of the
// handshake does not count (TCP_DEFER_ACCEPT in tcp(7)).
func askInexactReset(n *namespace) string {
	n.setSysctl("tcp_timestamps", "0") // the segment below has none
	wire := n.wire()
	listener := n.bound("127.0.0.1:5000")
	const seconds = 60
	n.must(listener.set(unix.SOL_TCP, unix.TCP_DEFER_ACCEPT, seconds), "set TCP_DEFER_ACCEPT")
	n.must(listener.listen(1), "listen")
	client := n.client("127.0.0.1:5000")
	reply := wire.next("a SYN and ACK", func(s segment) bool { return s.has(flagSYN | flagACK) })
	const inexact = 10
	wire.send(segment{from: client.port(), to: 5000, seq: reply.ack + inexact, flags: flagRST})
	wire.next("the RST", func(s segment) bool { return s.has(flagRST) })
	client.write(1) // completes what is half-open, or is answered by a RST
	if n.poll(patience, unix.POLLIN, listener, client) == listener {
		return "lives on"
	}
	return "is reset"
}
