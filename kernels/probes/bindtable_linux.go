// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// bindRows returns the rows to ask for, without answers.
func (n *namespace) bindRows(state State, otherUser bool) (rows []BindRow) {
	if otherUser && !n.asOtherUser(func() {}) {
		return nil
	}
	// Ports of answers are below those of clients, and as many sockets as there are answers
	// are in TIME_WAIT.
	n.setSysctl("ip_local_port_range", "40000 64999")
	n.setSysctl("tcp_max_tw_buckets", "100000")
	ipv6 := n.hasIPv6()
	for _, first := range addresses {
		for _, second := range addresses {
			if ipv6 || !isIPv6(first) && !isIPv6(second) {
				rows = append(rows, BindRow{State: state, OtherUser: otherUser, First: first, Second: second})
			}
		}
	}
	return rows
}

func isIPv6(address string) bool { return strings.Contains(address, ":") }

func (n *namespace) hasIPv6() bool {
	s, err := n.open(unix.AF_INET6, unix.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	defer s.close()
	return s.bind("[::1]:0") == nil
}

// otherUser is a user who is not root, and exists where more than one user does.
const otherUser = 65534

// asOtherUser calls f while the thread acts as another user, who owns sockets that it opens.
// It returns false where the process may not.
func (n *namespace) asOtherUser(f func()) bool {
	own, err := unix.SetfsuidRetUid(otherUser)
	n.must(err, "setfsuid")
	defer func() {
		_, err := unix.SetfsuidRetUid(own)
		n.must(err, "setfsuid back")
	}()
	const none = -1 // changes nothing
	now, err := unix.SetfsuidRetUid(none)
	n.must(err, "setfsuid")
	if now != otherUser || now == own {
		return false
	}
	f()
	return true
}

// bindAnswers asks for one row.
func (n *namespace) bindAnswers(row BindRow) string {
	var answers strings.Builder
	for i, first := range optionSets {
		if i > 0 {
			answers.WriteByte(' ')
		}
		for _, second := range optionSets {
			answers.WriteByte(n.bindAnswer(row, first.options(), second.options()))
		}
	}
	return answers.String()
}

// bindAnswer asks for one letter, on a port that was not used before.
func (n *namespace) bindAnswer(row BindRow, firstOptions, secondOptions []option) byte {
	n.lastPort++
	defer n.closeAll()
	first := n.bindSocket(row.First, firstOptions)
	n.hold(row.State, first, row.First)
	var second *socket
	if row.OtherUser {
		n.asOtherUser(func() { second = n.bindSocket(row.Second, secondOptions) })
	} else {
		second = n.bindSocket(row.Second, secondOptions)
	}
	if err := second.bind(n.bindAddress(row.Second)); err != nil {
		return letter(err, letterBindInUse)
	}
	if row.State == ListeningLater {
		if err := first.listen(1); err != nil {
			return letter(err, letterFirstInUse)
		}
	}
	if err := second.listen(1); err != nil {
		return letter(err, letterListenInUse)
	}
	return letterOK
}

func letter(err error, inUse byte) byte {
	if errors.Is(err, unix.EADDRINUSE) {
		return inUse
	}
	return letterOther
}

// hold brings the first socket into its state.
func (n *namespace) hold(state State, first *socket, address string) {
	n.must(first.bind(n.bindAddress(address)), "bind the first socket")
	if state == Bound || state == ListeningLater {
		return
	}
	n.must(first.listen(1), "listen")
	if state == Listening {
		return
	}
	client, server := n.pair(first, n.clientAddress(address))
	first.close()
	if state == TimeWait {
		n.timeWait(server, client)
	}
}

// bindSocket opens a socket for one of the addresses.
func (n *namespace) bindSocket(address string, options []option) *socket {
	s := n.tcp(n.bindAddress(address), options...)
	if isIPv6(address) {
		only := 0
		if address == wildcardOnly {
			only = 1
		}
		n.must(s.set(unix.SOL_IPV6, unix.IPV6_V6ONLY, only), "set IPV6_V6ONLY")
	}
	return s
}

// bindAddress is one of the addresses with the port of the answer.
func (n *namespace) bindAddress(address string) string {
	if address == wildcardOnly {
		address = "::"
	}
	return n.atPort(address)
}

// clientAddress is what a client connects to: IPv4 wherever the listener takes it.
func (n *namespace) clientAddress(address string) string {
	if address == wildcardOnly || address == "::1" {
		return n.atPort("::1")
	}
	return n.atPort("127.0.0.1")
}

func (n *namespace) atPort(address string) string {
	if isIPv6(address) {
		address = "[" + address + "]"
	}
	return address + ":" + strconv.Itoa(firstPort+n.lastPort)
}

// firstPort is above those that only root may use.
const firstPort = 2000

func (s optionSet) options() (all []option) {
	if s.address {
		all = append(all, reuseAddr)
	}
	if s.ports {
		all = append(all, reusePort)
	}
	return all
}
