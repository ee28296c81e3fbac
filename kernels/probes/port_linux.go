// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"time"

	"golang.org/x/sys/unix"
)

// portProbes ask which port the kernel gives to a socket that did not choose one.
var portProbes = []Probe{{
	ID:     "K8",
	Name:   "connect from the only ephemeral port, which a socket was bound to and has left",
	Source: "commit d57f4b874946 (Linux 6.18, 6.17.8 or before); selftest tcp_port_share (8a8241cdaa34)",
	ask: func(n *namespace) string {
		n.listener("127.0.0.1:5000", 1)
		n.listener("127.0.0.1:5001", 1)
		n.onePort()
		n.client("127.0.0.1:5000")
		n.bound("127.0.0.9:40000").close()
		return errorName(n.tcp("127.0.0.1:5001").connect("127.0.0.1:5001"))
	},
}, {
	ID:     "K9",
	Name:   "bind to port 0 with SO_REUSEADDR when every ephemeral port is taken, with ip_autobind_reuse=1",
	Source: "commits 4b01a9674231 and 207184853dbd (Linux 5.7)",
	ask: func(n *namespace) string {
		n.setSysctl("ip_autobind_reuse", "1")
		n.onePort()
		n.bound("127.0.0.1:0", reuseAddr)
		return errorName(n.tcp("127.0.0.1:0", reuseAddr).bind("127.0.0.1:0"))
	},
}, {
	ID:     "K11",
	Name:   "IP_LOCAL_PORT_RANGE: a range of ephemeral ports for one socket",
	Source: "commit 91d0b78c5177 (Linux 6.3, 6.1.32); IP_LOCAL_PORT_RANGE in ip(7)",
	ask: func(n *namespace) string {
		const low, high = 50000, 50001
		s := n.tcp("127.0.0.1:0")
		if err := s.set(unix.SOL_IP, unix.IP_LOCAL_PORT_RANGE, low|high<<16); err != nil {
			return errorName(err)
		}
		n.must(s.bind("127.0.0.1:0"), "bind to port 0")
		if port := s.port(); port < low || port > high {
			return "a port outside of the range"
		}
		return "a port of the range"
	},
}, {
	ID:     "K12",
	Name:   "connect from the only ephemeral port while it is in FIN_WAIT2, with tcp_tw_reuse=1",
	Source: "commit 0d9e5df4a257 (Linux 6.12, 6.11.3, 6.1.113, 5.10.227)",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_tw_reuse", "1")
		return n.connectAgain(func(client, _ *socket) {
			n.must(unix.Shutdown(client.fd, unix.SHUT_WR), "shutdown")
			client.awaitState(unix.BPF_TCP_FIN_WAIT2)
			client.close()
		})
	},
}, {
	ID:     "K24",
	Name:   "connect on the loopback from the only ephemeral port while it is in TIME_WAIT",
	Source: "commit 79e9fed46038 (Linux 4.19): tcp_tw_reuse is 2 by default; RFC 6191, 2",
	ask: func(n *namespace) string {
		return n.connectAgain(func(client, server *socket) { n.timeWait(client, server) })
	},
}, {
	ID:     "K25",
	Name:   "connect from the only ephemeral port in TIME_WAIT within 0.5 s, with tcp_tw_reuse_delay=1",
	Source: "commits ca6a6f93867a and 19ce8cd30465 (Linux 6.14)",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_tw_reuse_delay", shortestDelay)
		return n.connectAgain(func(client, server *socket) { n.timeWait(client, server) })
	},
}}

// onePort leaves one ephemeral port: 40000. The kernel wants the range to be even.
func (n *namespace) onePort() {
	n.setSysctl("ip_local_port_range", "40000 40001")
	n.setSysctl("ip_local_reserved_ports", "40001")
}

// A port in TIME_WAIT is used again after a delay: of up to 1 s, because the kernel compares
// full seconds, or of the milliseconds that tcp_tw_reuse_delay says.
const (
	longestDelay  = 1500 * time.Millisecond
	shortestDelay = "1"
	afterShortest = 500 * time.Millisecond
)

// connectAgain connects from the only ephemeral port, closes that connection, and says whether
// the port can be used for one to the same address again, after the kernel's delay.
func (n *namespace) connectAgain(closed func(client, server *socket)) string {
	const address = "127.0.0.1:5000"
	listener := n.listener(address, 2)
	n.onePort()
	bound := longestDelay
	if n.hasSysctl("tcp_tw_reuse_delay") {
		n.setSysctl("tcp_tw_reuse_delay", shortestDelay)
		bound = afterShortest
	}
	closed(n.pair(listener, address))
	var err error
	n.within(bound, func() bool {
		again := n.tcp(address)
		if err = again.connect(address); err != nil {
			again.close()
		}
		return err == nil
	})
	return errorName(err)
}
