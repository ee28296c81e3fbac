// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Conn is a client's connection to the subject, on which it says the dialogue of the service.
type Conn struct {
	*net.TCPConn
	Case         *Case
	client       *rig.Host // that connected
	connected    time.Time
	service      dialogue.Service
	conversation *dialogue.Conversation
	greeted      bool // the hello is over
	rounds       int  // that were said
	byBytes      bool // the stream is sent in pieces of one byte
	ahead        int  // bytes of the next round that were sent already: see SpeakIfDeferred
	ended        atomic.Bool
}

// Dial connects from the n-th client's host. It does not wait until the subject
// accepts.
func (c *Case) Dial(n int) (*Conn, error) { return c.DialWithin(n, patience()) }

// DialWithin is [Case.Dial] that gives up after the limit, also where the subject is not
// quiescent: the error wraps [rig.ErrNotObserved] then.
func (c *Case) DialWithin(n int, limit time.Duration) (*Conn, error) {
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	client := c.Clients[n%len(c.Clients)]
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w := c.wait()
		ticker := time.NewTicker(lookInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			err := w.over()
			if errors.Is(err, ErrQuiescent) && !c.connecting(client) && time.Since(w.began) < patience() {
				continue // the machine is busy: connect was not called yet
			}
			if err == nil && time.Since(w.began) >= limit && c.connecting(client) {
				err = fmt.Errorf("for %v: %w", limit, rig.ErrNotObserved)
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	}()
	var raw net.Conn
	err := client.Do(func() (err error) { // not Host.Dial: the journal is for what is rare
		var dialer net.Dialer
		raw, err = dialer.DialContext(ctx, "tcp", c.Address.String())
		return plain(err)
	})
	cause := context.Cause(ctx)
	cancel(nil)
	<-watched
	if err != nil {
		return nil, fmt.Errorf("connect: %w", cmp.Or(cause, plain(errors.Unwrap(err))))
	}
	k := &Conn{TCPConn: raw.(*net.TCPConn), Case: c, client: client, connected: time.Now()}
	k.converse(c.Service, stream{k})
	c.mu.Lock()
	c.conns = append(c.conns, k)
	c.mu.Unlock()
	return k, nil
}

// MustDial is [Case.Dial] where a failure means that the subject is wrong in a way
// that another check judges.
func (c *Case) MustDial(n int) *Conn {
	k, err := c.Dial(n)
	c.MustServe(err)
	return k
}

// connecting says whether the kernel of the client's host tries to connect to the
// subject.
func (c *Case) connecting(client *rig.Host) bool {
	sockets, err := client.Sockets()
	return err != nil || slices.ContainsFunc(sockets.In(rig.SynSent), func(k rig.Socket) bool {
		return unmapped(k.Remote) == unmapped(c.Address)
	})
}

func (c *Case) backlogFull() bool {
	sockets, err := c.Host.Sockets()
	if err != nil {
		return false
	}
	for _, l := range sockets.On(c.Subject.ListenPort()).In(rig.Listening) {
		if l.RecvQueue > l.SendQueue {
			return true
		}
	}
	return false
}

// Close closes the connection, with a reset where an answer is unread. Further calls do
// nothing.
func (k *Conn) Close() error {
	if k.ended.Swap(true) {
		return nil
	}
	if k.unread() {
		k.Case.Did(scorecard.ClientReset)
	}
	k.Case.left()
	return k.TCPConn.Close()
}

// CloseWrite closes the client's sending side.
func (k *Conn) CloseWrite() error {
	k.Case.Did(scorecard.HalfClose)
	return k.TCPConn.CloseWrite()
}

// unread says whether bytes have come that were not read: to close resets the connection then.
func (k *Conn) unread() (some bool) {
	raw, err := k.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { // of a connection that is open
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		some = n > 0 && err == nil
	})
	return some
}

// Reset ends the connection with a reset, as the kernel does for a client that
// is killed with a reply unread.
func (k *Conn) Reset() {
	if !k.ended.Swap(true) {
		k.Case.Did(scorecard.ClientReset)
		k.Case.left()
		_ = k.SetLinger(0) // cannot fail on an open TCP socket
		k.TCPConn.Close()
	}
}

// AwaitAccepted waits until the subject has accepted the connection, and speaks where it is
// not accepted otherwise.
func (k *Conn) AwaitAccepted() error {
	deferred := false
	_, err := k.Case.Until("the connection to be accepted", func() (bool, string, error) {
		accepted, err := k.Accepted()
		if err == nil && !accepted {
			deferred, err = k.SpeakIfDeferred()
		}
		return accepted, "the connection is in the backlog", err
	})
	if errors.Is(err, ErrQuiescent) && deferred {
		return fmt.Errorf("%w: %w", errDeferred, err)
	}
	return err
}

// errDeferred is wrapped where a subject waits for bytes before it accepts, and the service has
// none to say.
var errDeferred = errors.New("the subject accepts a client only when it has sent something (TCP_DEFER_ACCEPT)")

// speakFirst says what a check, or the whole trial, needs then.
func speakFirst() error {
	return fmt.Errorf("%w: give the client's dialogue with -service", errDeferred)
}

// SpeakIfDeferred sends the first byte of the hello, or of the next round, where the subject
// accepts a connection only when bytes have come (TCP_DEFER_ACCEPT in tcp(7)), and says whether
// that is so: the kernel has half a connection on the subject's side, although there is room in
// the backlog. A service that begins with the subject's words says nothing.
func (k *Conn) SpeakIfDeferred() (deferred bool, err error) {
	socket, there, err := k.ServerSocket()
	if err != nil || !there || socket.State != rig.SynReceived && socket.State != rig.NewSynReceived || k.Case.backlogFull() {
		return false, err
	}
	first, said := k.service.Dialogue.Hello, k.greeted
	if len(first) == 0 {
		first, said = k.service.Dialogue.Round, k.rounds > 0
	}
	if k.ahead > 0 || said || len(first) == 0 {
		return true, nil
	}
	text := first[0].Bytes(1)
	if len(text) == 0 {
		return true, nil
	}
	k.ahead, err = k.send(text[:1])
	return true, err
}

// Accepted says whether the connection is not in the backlog: the subject has accepted it, or
// it has ended.
func (k *Conn) Accepted() (bool, error) {
	socket, there, err := k.ServerSocket()
	return !there || socket.Inode != 0 || closedByServer(socket), err
}

// closedByServer says whether the subject has closed its side, so that it must
// have accepted the connection.
func closedByServer(s rig.Socket) bool {
	return slices.Contains([]rig.TCPState{rig.FinWait1, rig.FinWait2, rig.Closing, rig.LastAck}, s.State)
}

// AwaitRead waits until the subject has read what was sent.
func (k *Conn) AwaitRead() error {
	_, err := k.Case.Until("the subject to read", func() (bool, string, error) {
		s, there, err := k.ServerSocket()
		return !there || s.RecvQueue == 0, fmt.Sprintf("%d bytes unread", s.RecvQueue), err
	})
	return err
}

// ErrForgotten is wrapped where a client waits for words of the subject, which has never had the
// connection. Of a handshake that it answered with a SYN cookie the kernel keeps nothing, so it
// does not repeat the SYN-ACK where a full backlog made it drop the end of the handshake
// (tcp_syncookies in tcp(7)).
var ErrForgotten = errors.New("the kernel forgot the handshake (SYN cookie) because the backlog is full")

// forgotten says whether the connection is open for the client alone, on a host that sent
// SYN cookies.
func (k *Conn) forgotten() bool {
	if _, there, err := k.ServerSocket(); there || err != nil {
		return false
	}
	clients, err := k.client.Sockets()
	if err != nil || !slices.ContainsFunc(clients.In(rig.Established), func(s rig.Socket) bool {
		return unmapped(s.Local) == unmapped(k.LocalAddr().(*net.TCPAddr).AddrPort())
	}) {
		return false
	}
	counters, err := k.Case.Host.Counters()
	return err == nil && counters["TcpExtSyncookiesSent"] > 0
}

// ServerSocket returns the subject's side of the connection.
func (k *Conn) ServerSocket() (rig.Socket, bool, error) {
	sockets, err := k.Case.Host.Sockets()
	if err != nil {
		return rig.Socket{}, false, err
	}
	mine := k.LocalAddr().(*net.TCPAddr).AddrPort()
	for _, s := range sockets.On(k.Case.Subject.ListenPort()) {
		if s.State != rig.TimeWait && unmapped(s.Remote) == unmapped(mine) {
			return s, true, nil
		}
	}
	return rig.Socket{}, false, nil
}

// ServerInode returns the inode of the subject's side, or 0 if the subject has not accepted
// the connection, or the connection is gone.
func (k *Conn) ServerInode() (uint32, error) {
	s, _, err := k.ServerSocket()
	return s.Inode, err
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
