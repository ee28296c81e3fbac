// SPDX-License-Identifier: Apache-2.0

package kernels

import "fmt"

// A bug is one that some releases have, from one to the release before another, in each series.
type bug struct {
	id, what string
	in       [][2]release // the first with it, and the first without it again
}

// bugs are those whose releases are known and that change what a server or a rig sees. Sources: the
// probes of the same numbers. K17 and K18 were seen in 6.18.15, and which update of 6.18 fixed them is not known; 6.19.14,
// the last of its series that Debian has, has both; 7.0.4 has K18 and not K17, and 7.0.13 has neither. K50 is fixed in
// 6.17.8; it may be in an update before.
var bugs = []bug{
	{"K7", "listen succeeds though the port is taken", [][2]release{{{5, 10, 163}, {5, 10, 173}}}},
	{"K15", "no client can connect to listen(fd, 0) without SYN cookies",
		[][2]release{{{4, 4, 0}, {5, 10, 234}}, {{5, 11, 0}, {6, 1, 125}}, {{6, 2, 0}, {6, 12, 10}}}},
	{"K17", "a listener that takes over connections of another one never wakes",
		[][2]release{{{5, 14, 0}, {6, 1, 175}}, {{6, 2, 0}, {6, 12, 86}}, {{6, 13, 0}, {6, 18, 16}}, {{6, 19, 0}, {7, 0, 4}}}},
	{"K18", "a listener that took over a half-open connection of another one drops every SYN once that has expired",
		[][2]release{{{6, 1, 115}, {6, 1, 175}}, {{6, 12, 0}, {6, 12, 92}}, {{6, 13, 0}, {6, 18, 16}}, {{6, 19, 0}, {7, 0, 5}}}},
	{"K27", "connect to AF_UNSPEC fails with EBUSY while another thread reads",
		[][2]release{{{5, 10, 183}, {5, 11, 0}}, {{6, 1, 33}, {6, 1, 60}}, {{6, 4, 0}, {6, 5, 9}}}},
	{"K28", "the receive buffer shrinks under bursts, and segments are dropped",
		[][2]release{{{6, 17, 0}, {6, 18, 17}}, {{6, 19, 0}, {6, 19, 7}}}},
	{"K50", "a system call that is answered by a supervisor may end with EINTR all the same",
		[][2]release{{{5, 19, 0}, {6, 1, 156}}, {{6, 2, 0}, {6, 12, 53}}, {{6, 13, 0}, {6, 17, 8}}}},
	{"K29", "SOCK_DESTROY leaves a closed connection in FIN-WAIT-1 for ever",
		[][2]release{{{4, 5, 0}, {6, 1, 132}}, {{6, 2, 0}, {6, 10, 8}}}},
}

// KnownBugs returns the known bugs that a kernel of this name, such as "6.12.43" or "uml:7.2.7",
// has by its release. A distribution may have fixed one, which a probe shows.
func KnownBugs(name string) (known []string) {
	r, ok := parseRelease(name)
	if !ok {
		return nil
	}
	for _, b := range bugs {
		for _, between := range b.in {
			if r.compare(between[0]) >= 0 && r.compare(between[1]) < 0 {
				known = append(known, fmt.Sprintf("%s: %s", b.id, b.what))
			}
		}
	}
	return known
}
