// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// optionProbes ask what setsockopt answers.
var optionProbes = []Probe{{
	ID:     "K13",
	Name:   "SO_REUSEPORT on a socket of AF_UNIX",
	Source: "commit 5b0af621c3f6 (Linux 6.13, 6.12.9, 6.1.124); CPython issue 128916",
	ask: func(n *namespace) string {
		s, err := n.open(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		n.must(err, "open a socket of AF_UNIX")
		return errorName(s.set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	},
}, {
	ID:     "K38",
	Name:   "SO_PEEK_OFF on a TCP socket",
	Source: "commit 05ea491641d3 (Linux 6.9); SO_PEEK_OFF in socket(7)",
	ask: func(n *namespace) string {
		listener := n.listener("127.0.0.1:5000", 1)
		client, server := n.pair(listener, "127.0.0.1:5000")
		if err := server.set(unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
			return errorName(err)
		}
		const length = 2
		client.write(length)
		server.awaitUnread(length)
		for range length {
			_, _, err := unix.Recvfrom(server.fd, make([]byte, 1), unix.MSG_PEEK)
			n.must(err, "peek")
		}
		return fmt.Sprintf("after %d peeks the offset is %d", length, server.get(unix.SOL_SOCKET, unix.SO_PEEK_OFF))
	},
}, {
	ID:     "K39",
	Name:   "TCP_MAXSEG before connect, after it was set to 1000",
	Source: "commit 34dfde4ad87b (Linux 6.4, 6.1.33, 5.10.183); TCP_MAXSEG in tcp(7)",
	ask: func(n *namespace) string {
		s := n.tcp("127.0.0.1:0")
		n.must(s.set(unix.SOL_TCP, unix.TCP_MAXSEG, 1000), "set TCP_MAXSEG")
		return strconv.Itoa(s.get(unix.SOL_TCP, unix.TCP_MAXSEG))
	},
}, {
	ID:     "K40",
	Name:   "SO_ATTACH_FILTER of an ordinary user on a TCP socket",
	Source: "commit 5d39580f68e6 (Linux 7.1, 6.12.94, 6.1.176; CVE-2026-53236)",
	ask: func(n *namespace) (answer string) {
		s := n.tcp("127.0.0.1:0")
		const returnAll = unix.BPF_RET | unix.BPF_K
		program := []unix.SockFilter{{Code: returnAll, K: 0xffff}}
		n.withoutCapabilities(func() {
			filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
			answer = errorName(unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter))
		})
		return answer
	},
}, {
	ID:     "K44",
	Name:   "TCP_RTO_MAX_MS after it was set to 2000",
	Source: "commit 54a378f43425 (Linux 6.15)",
	ask: func(n *namespace) string {
		s := n.tcp("127.0.0.1:0")
		const millis = 2000
		if err := s.set(unix.SOL_TCP, unix.TCP_RTO_MAX_MS, millis); err != nil {
			return errorName(err)
		}
		return strconv.Itoa(s.get(unix.SOL_TCP, unix.TCP_RTO_MAX_MS))
	},
}}
