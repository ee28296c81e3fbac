// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// TCPState is a state of RFC 9293 section 3.3.2, with the kernel's numbers
// (include/net/tcp_states.h).
type TCPState uint8

// The TCP states.
const (
	Established TCPState = 1 + iota
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listening
	Closing
	NewSynReceived
)

var tcpStateNames = [...]string{"0", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
	"TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "NEW-SYN-RECEIVED"}

func (s TCPState) String() string {
	if int(s) < len(tcpStateNames) {
		return tcpStateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Socket is a TCP socket as the kernel reports it (sock_diag(7)).
type Socket struct {
	State         TCPState
	Local, Remote netip.AddrPort
	// RecvQueue and SendQueue are in bytes; of a listening socket they are the
	// number of connections that wait for accept and the most that may wait.
	RecvQueue, SendQueue uint32
	// Inode identifies the socket among the descriptors of processes. It is 0
	// where no process has the socket, as in TIME-WAIT.
	Inode uint32
	UID   uint32
	// Retransmits is how often the oldest unanswered segment was sent again.
	Retransmits uint8
	// Timer is what the kernel waits for and TimerLeft how long it still will.
	Timer     TCPTimer
	TimerLeft time.Duration
}

// Orphaned says whether its process has closed the connection, and the kernel alone waits for what
// the peer still owes: for up to tcp_fin_timeout, or tcp_orphan_retries where it does not answer
// (tcp(7)). One that no process has accepted yet is not orphaned.
func (s Socket) Orphaned() bool {
	switch s.State {
	case FinWait1, FinWait2, Closing, LastAck:
		return s.Inode == 0
	}
	return false
}

// TCPTimer is the timer of a socket (idiag_timer in sock_diag(7)).
type TCPTimer uint8

// The timers of a TCP socket.
const (
	TimerOff TCPTimer = iota
	TimerRetransmit
	TimerKeepAlive
	TimerTimeWait
	TimerZeroWindowProbe
)

func (s Socket) String() string {
	text := fmt.Sprintf("%s %s", s.State, s.Local)
	if s.Remote.Port() != 0 {
		text += "→" + s.Remote.String()
	}
	if s.RecvQueue != 0 || s.SendQueue != 0 {
		text += fmt.Sprintf(" recv-q %d send-q %d", s.RecvQueue, s.SendQueue)
	}
	if s.Inode != 0 {
		text += fmt.Sprintf(" inode %d", s.Inode)
	}
	return text
}

// Sockets is a list of sockets with ways to select from it.
type Sockets []Socket

// On returns the sockets whose local port is port.
func (s Sockets) On(port uint16) Sockets {
	return s.Where(func(k Socket) bool { return k.Local.Port() == port })
}

// In returns the sockets that are in one of the states.
func (s Sockets) In(states ...TCPState) Sockets {
	return s.Where(func(k Socket) bool {
		return slices.Contains(states, k.State)
	})
}

// Where returns the sockets that keep says yes to.
func (s Sockets) Where(keep func(Socket) bool) Sockets { return selected(s, keep) }

func (s Sockets) String() string { return listed(s, "no sockets") }
