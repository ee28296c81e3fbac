// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bindProbes ask which addresses a second socket may have beside a first one. The table of
// [BindTable] has all combinations; these are the ones that kernels got wrong.
var bindProbes = []Probe{{
	ID:     "K1",
	Name:   "bind to 127.0.0.1 while a connection of the port is in TIME_WAIT, without SO_REUSEADDR",
	Source: "commit 936a192f9740 (Linux 6.2, 6.1.5) fixes 28044fc1d495 (6.1); selftest bind_timewait",
	ask:    func(n *namespace) string { return bindBesideTimeWait(n) },
}, {
	ID:     "K1b",
	Name:   "bind to 127.0.0.1 while a connection of the port is in TIME_WAIT, all with SO_REUSEADDR",
	Source: "SO_REUSEADDR in socket(7), which commit 936a192f9740 (Linux 6.2, 6.1.5) must keep",
	ask:    func(n *namespace) string { return bindBesideTimeWait(n, reuseAddr) },
}, {
	ID:     "K2",
	Name:   "bind to :: for both families beside a listener on 0.0.0.0",
	Source: "commit d9ba99342855 (Linux 6.3, 6.1.21) fixes 28044fc1d495 (6.1); selftest bind_wildcard",
	ask: func(n *namespace) string {
		n.listener("0.0.0.0:5000", 1)
		return errorName(n.tcp("[::]:5000").bind("[::]:5000"))
	},
}, {
	ID:     "K3",
	Name:   "bind to 127.0.0.1 beside ::ffff:127.0.0.1",
	Source: "commit c48ef9c4aed3 (Linux 6.6, 6.5.4, 6.1.54) fixes 28044fc1d495 (6.1); selftest bind_wildcard",
	ask: func(n *namespace) string {
		n.bound("[::ffff:127.0.0.1]:5000")
		return errorName(n.tcp("127.0.0.1:5000").bind("127.0.0.1:5000"))
	},
}, {
	ID:     "K3b",
	Name:   "bind to ::ffff:127.0.0.1 beside ::ffff:0.0.0.0",
	Source: "commit aa99e5f87bd5 (Linux 6.6, 6.5.4, 6.1.54) fixes 28044fc1d495 (6.1); wrong again in Debian's 6.1.170 to 6.1.192",
	ask: func(n *namespace) string {
		n.bound("[::ffff:0.0.0.0]:5000")
		return errorName(n.tcp("[::ffff:127.0.0.1]:5000").bind("[::ffff:127.0.0.1]:5000"))
	},
}, {
	ID:     "K4",
	Name:   "bind to 127.0.0.1 beside 0.0.0.0 and :: for IPv6 only",
	Source: "commit d91ef1e1b55f (Linux 6.9, 6.1.85) fixes 28044fc1d495 (6.1); selftest bind_wildcard",
	ask:    func(n *namespace) string { return thirdBind(n, "127.0.0.1:5000") },
}, {
	ID:     "K5",
	Name:   "bind to ::ffff:127.0.0.1 beside 0.0.0.0 and :: for IPv6 only",
	Source: "commit ea111449501e (Linux 6.9, 6.1.168), of the third socket with a mapped address; selftest bind_wildcard",
	ask:    func(n *namespace) string { return thirdBind(n, "[::ffff:127.0.0.1]:5000") },
}, {
	ID:     "K6",
	Name:   "what bind returns for a port that is taken",
	Source: "half of commit 7a7160edf1bf was in Linux 6.0.16 to 6.0.18, where bind(2) returned 1",
	ask: func(n *namespace) string {
		n.bound("127.0.0.1:5000")
		returned, err := n.tcp("127.0.0.1:5000").rawBind([4]byte{127, 0, 0, 1}, 5000)
		if err != nil {
			return errorName(err)
		}
		return fmt.Sprint(returned)
	},
}, {
	ID:     "K7",
	Name:   "the second of two sockets with SO_REUSEADDR listens on the same address",
	Source: "commit dadd0dcaa67d (Linux 6.2) was half in 5.15.88 and 5.10.163; fixed in 5.10.173",
	ask: func(n *namespace) string {
		const address = "127.0.0.1:5000"
		first, second := n.bound(address, reuseAddr), n.bound(address, reuseAddr)
		n.must(first.listen(1), "listen")
		return errorName(second.listen(1))
	},
}, {
	ID:     "K10",
	Name:   "SO_BINDTODEVICE of an ordinary user on a socket that has no device",
	Source: "commit c427bfec18f2 (Linux 5.7); SO_BINDTODEVICE in socket(7)",
	ask: func(n *namespace) (answer string) {
		s := n.tcp("127.0.0.1:0")
		n.withoutCapabilities(func() {
			answer = errorName(unix.SetsockoptString(s.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
		})
		return answer
	},
}}

// bindBesideTimeWait leaves a connection of a listener with these options in TIME_WAIT, and binds a
// socket with the same options to its address.
func bindBesideTimeWait(n *namespace, options ...option) string {
	const address = "127.0.0.1:5000"
	listener := n.listener(address, 1, options...)
	client, server := n.pair(listener, address)
	listener.close()
	n.timeWait(server, client)
	return errorName(n.tcp(address, options...).bind(address))
}

// thirdBind binds two sockets to the wildcards of the two families, and a third to an address
// that the first one covers.
func thirdBind(n *namespace, address string) string {
	n.bound("0.0.0.0:5000")
	second := n.tcp("[::]:5000")
	n.must(second.set(unix.SOL_IPV6, unix.IPV6_V6ONLY, 1), "set IPV6_V6ONLY")
	n.must(second.bind("[::]:5000"), "bind :: for IPv6 only beside 0.0.0.0")
	return errorName(n.tcp(address).bind(address))
}
