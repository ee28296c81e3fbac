// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"time"
)

// The states of a side of a connection (RFC 9293 section 3.3.2), with the kernel's names
// (include/net/tcp_states.h).
const (
	synSent     = "SYN_SENT"
	synReceived = "SYN_RECV"
	established = "ESTABLISHED"
	finWait1    = "FIN_WAIT1"
	finWait2    = "FIN_WAIT2"
	closing     = "CLOSING"
	timeWait    = "TIME_WAIT"
	closeWait   = "CLOSE_WAIT"
	lastAck     = "LAST_ACK"
	listening   = "LISTEN"
)

// follow enters the states into which a segment brings both sides: the sender when it leaves, and
// the receiver when it arrives, if it does. The observer sees states when somebody looks; the
// segments say them at once.
func (k *connection) follow(s segment, at, took time.Duration) {
	if s.syn && s.ack {
		k.takeBack(s.from)
	}
	k.spoke[s.from] = k.spoke[s.from] || !s.syn
	k.step(s.from, at, func(state string) string { return afterSending(s, state) })
	if s.fin {
		k.fin[s.from] = s.seq + uint32(s.bytes) + 1
	}
	if took == unseen {
		return
	}
	fin, finished := k.fin[s.to]
	finAcked := s.ack && finished && int32(s.acked-fin) >= 0
	next, sent := k.next[s.from]
	inOrder := sent && s.seq == next
	k.step(s.to, at+took, func(state string) string { return afterReceiving(s, state, finAcked, inOrder) })
}

// step brings one side into the next state, unless it stays as it is.
func (k *connection) step(of netip.AddrPort, at time.Duration, next func(state string) string) {
	side := k.side(of)
	before := side.last()
	at = max(at, before.At)
	if now := next(before.Name); now != before.Name {
		side.States = append(side.States, State{At: at, Name: now})
		k.end(at)
	}
}

// takeBack takes back that a side is ESTABLISHED that shows to be in SYN_RECV still, and that has not spoken: its kernel
// did not take the ACK, because the queue of the listener was full or no data had come (TCP_DEFER_ACCEPT).
func (k *connection) takeBack(of netip.AddrPort) {
	side := k.side(of)
	if last := len(side.States) - 1; last > 0 && side.States[last].Name == established && side.States[last-1].Name == synReceived && !k.spoke[of] {
		side.States = side.States[:last]
	}
}

// side returns the side of a connection that has the address.
func (k *connection) side(of netip.AddrPort) *Endpoint {
	if of == k.client {
		return &k.Client
	}
	return &k.Server
}

// last is the latest state, nothing where none is known.
func (e *Endpoint) last() State {
	if len(e.States) == 0 {
		return State{}
	}
	return e.States[len(e.States)-1]
}

func afterSending(s segment, state string) string {
	switch {
	case s.rst:
		return gone
	case s.syn && !s.ack:
		return synSent
	case s.syn:
		return synReceived
	case s.fin && (state == established || state == synReceived):
		return finWait1
	case s.fin && state == closeWait:
		return lastAck
	}
	return state
}

func afterReceiving(s segment, state string, finAcked, inOrder bool) string {
	if s.rst && state != "" && (state != timeWait || inOrder) { // tcp_rfc1337 in ip-sysctl.rst: it is 0 by default
		return gone
	}
	if s.ack && (state == synReceived || state == synSent && s.syn) {
		state = established
	}
	if finAcked {
		switch state {
		case finWait1:
			state = finWait2
		case closing:
			state = timeWait
		case lastAck:
			state = gone
		}
	}
	if s.fin {
		switch state {
		case established:
			state = closeWait
		case finWait1:
			state = closing
		case finWait2:
			state = timeWait
		}
	}
	return state
}
