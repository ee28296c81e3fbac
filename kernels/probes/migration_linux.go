// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"golang.org/x/sys/unix"
)

// migrationProbes ask what becomes of the connections of a listener that closes while another
// one of its SO_REUSEPORT group stays.
var migrationProbes = []Probe{{
	ID:     "K16",
	Name:   "a connection in the queue of a listener that closes, with tcp_migrate_req=1",
	Source: "commits f9ac779f881c, 54b92e841937 and 333bb73f620e (Linux 5.14); selftest migrate_reuseport",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_migrate_req", "1")
		first := n.listener(group, 8, reusePort)
		client := n.client(group)
		second := n.listener(group, 8, reusePort)
		first.close()
		if n.poll(patience, unix.POLLIN, second, client) == second {
			return "moves to the other listener"
		}
		return "is reset"
	},
}, {
	ID:     "K17",
	Name:   "accept that waits on the listener to which such a connection moves",
	Source: "commit 3864c6ba1e04 (Linux 7.1, 7.0.4 or before, 6.12.86, 6.1.175; CVE-2026-46015) fixes 54b92e841937 (5.14)",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_migrate_req", "1")
		first := n.listener(group, 8, reusePort)
		n.client(group)
		second := n.listener(group, 8, reusePort)
		accept := second.wait(func() error {
			fd, _, err := unix.Accept4(second.fd, unix.SOCK_CLOEXEC)
			if err == nil {
				unix.Close(fd)
			}
			return err
		})
		before := accept.sleeps()
		first.close()
		end := accept.end(before)
		// Of a listening socket, tcpi_unacked is how many connections wait for accept.
		switch waiting := second.info().Unacked; {
		case end == "OK":
			return "accept returns"
		case end == "blocked" && waiting > 0:
			return "accept does not return"
		case end == "blocked":
			return "no connection moves"
		}
		return end
	},
}, {
	ID:     "K18",
	Name:   "a listener to which a half-open connection moved that then expired",
	Source: "commit 7eca3292cac7 (Linux 7.1, 7.0.13 or before, 6.12.92, 6.1.175) fixes e8c526f2bdf1 (6.12, 6.1.115, 5.10.237)",
	ask: func(n *namespace) string {
		n.setSysctl("tcp_migrate_req", "1")
		n.setSysctl("tcp_syncookies", "0")
		n.setSysctl("tcp_synack_retries", "0") // it expires with the first timer, after 1 s
		first := n.bound(group, reusePort)
		const seconds = 60
		n.must(first.set(unix.SOL_TCP, unix.TCP_DEFER_ACCEPT, seconds), "set TCP_DEFER_ACCEPT") // half-open until data comes
		n.must(first.listen(8), "listen")
		n.client(group)
		n.listener(group, 8, reusePort)
		first.close()
		n.await("a half-open connection to expire", func() bool { return !n.hasRow(5000, unix.BPF_TCP_SYN_RECV) })
		switch {
		case n.counter("TCPMigrateReqFailure") == 0:
			return "no connection moves"
		case !n.serves(group):
			return "drops every SYN"
		}
		return "accepts"
	},
}}

// group is where the listeners of a group listen.
const group = "127.0.0.1:5000"
