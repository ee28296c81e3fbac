// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"forkrig/rig"
)

// Conn is a client's connection to the subject.
type Conn struct {
	*net.TCPConn
	Case  *Case
	count int // messages so far
	ended atomic.Bool
}

// Dial connects from the n-th client's host. It does not wait until the subject
// accepts.
func (c *Case) Dial(n int) (*Conn, error) {
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
			if errors.Is(err, ErrQuiescent) && !c.connecting(client) && time.Since(w.began) < rig.Patience() {
				continue // the machine is busy: connect was not called yet
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
	k := &Conn{TCPConn: raw.(*net.TCPConn), Case: c}
	c.mu.Lock()
	c.conns = append(c.conns, k)
	c.mu.Unlock()
	return k, nil
}

// MustDial is [Case.Dial] where a failure means that the subject is wrong in a way
// that another check judges.
func (c *Case) MustDial(n int) *Conn {
	k, err := c.Dial(n)
	c.Must(err)
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
	return k.TCPConn.Close()
}

// Reset ends the connection with a reset, as the kernel does for a client that
// is killed with a reply unread.
func (k *Conn) Reset() {
	if !k.ended.Swap(true) {
		_ = k.SetLinger(0) // cannot fail on an open TCP socket
		k.TCPConn.Close()
	}
}

// Ask sends the next message, and returns the answer that it must get.
func (k *Conn) Ask() (answer string, err error) {
	message := fmt.Sprintf("message %d of a client\n", k.count)
	k.count++
	return k.Case.Subject.Service.Answer(message), k.Send([]byte(message))
}

// Exchange sends a message and checks the answer. With a service of none it checks that
// the connection stands.
func (k *Conn) Exchange() error {
	if k.Case.Subject.Service == None {
		return k.AwaitAccepted()
	}
	answer, err := k.Ask()
	if err != nil {
		return err
	}
	return k.Expect([]byte(answer))
}

// AwaitAccepted waits until the subject has accepted the connection.
func (k *Conn) AwaitAccepted() error {
	_, err := k.Case.Until("the connection to be accepted", func() (bool, string, error) {
		accepted, err := k.Accepted()
		return accepted, "the connection is in the backlog", err
	})
	return err
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

// Begin brings the connection to where the subject serves it: an exchange where
// there is room for another one, otherwise the accept.
func (k *Conn) Begin() error {
	if k.Case.Subject.Closes == Server || k.Case.Subject.Service == None {
		return k.AwaitAccepted()
	}
	return k.Exchange()
}

// Finish ends the conversation in order: an exchange, and the end from the side
// that closes first.
func (k *Conn) Finish() error {
	if err := k.Exchange(); err != nil {
		return err
	}
	if k.Case.Subject.Closes == Server {
		if err := k.AwaitEnd(); err != nil {
			return err
		}
	}
	return k.Close()
}

// AwaitEnd reads the end of the stream, after what a service of none sends before it.
func (k *Conn) AwaitEnd() error {
	if k.Case.Subject.Service != None {
		return k.ExpectEnd()
	}
	rest := make([]byte, 64<<10)
	for {
		if _, err := k.ReadFull(rest); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("no end of the stream: %w", err)
		}
	}
}

// Visit is a whole conversation of a new client.
func (c *Case) Visit(n int) error {
	k, err := c.Dial(n)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Finish()
}

// Send sends bytes.
func (k *Conn) Send(b []byte) error {
	w := k.Case.wait()
	var over error
	for sent := 0; sent < len(b); {
		n, err := k.attempt(k.SetWriteDeadline, k.Write, syscall.Write, b[sent:], over != nil)
		sent += n
		switch {
		case err == nil || n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			over = nil
			if n > 0 {
				w = k.Case.wait() // from now on
			}
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("sent %d of %d bytes: %w", sent, len(b), plain(err))
		case over != nil:
			return fmt.Errorf("sent %d of %d bytes: %w", sent, len(b), over)
		}
		over = w.over()
	}
	return nil
}

// ReadFull reads until the buffer is full or the stream ends, and says how much came.
func (k *Conn) ReadFull(b []byte) (int, error) {
	w := k.Case.wait()
	var over error
	for n := 0; ; {
		got, err := k.attempt(k.SetReadDeadline, k.Read, syscall.Read, b[n:], over != nil)
		n += got
		switch {
		case n == len(b):
			return n, nil
		case got > 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
			over = nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over != nil {
				return n, over
			}
			over = w.over()
		case err != nil:
			return n, plain(err)
		}
	}
}

// attempt reads or writes until something was done, or for the time between two
// looks. On a busy machine that time may be over before it comes to the call; so
// the last attempt, which finds what came meanwhile, asks the kernel in any case,
// and does not wait.
func (k *Conn) attempt(setDeadline func(time.Time) error, wait func([]byte) (int, error), ask func(int, []byte) (int, error), b []byte, last bool) (n int, err error) {
	if !last {
		_ = setDeadline(time.Now().Add(lookInterval)) // cannot fail on an open socket
		return wait(b)
	}
	if n, err = k.now(ask, b); n == 0 && err == nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// ReadNow reads what has come, without waiting. There is nothing where n is 0 and err nil;
// the end of the stream is io.EOF.
func (k *Conn) ReadNow(b []byte) (n int, err error) { return k.now(syscall.Read, b) }

// WriteNow sends what the kernel takes at once, and returns how much that was.
func (k *Conn) WriteNow(b []byte) (n int, err error) { return k.now(syscall.Write, b) }

// now asks the kernel to read or write, and does not wait.
func (k *Conn) now(ask func(int, []byte) (int, error), b []byte) (n int, err error) {
	raw, err := k.SyscallConn()
	if err != nil {
		return 0, err
	}
	if rawErr := raw.Control(func(fd uintptr) {
		for {
			if n, err = ask(int(fd), b); err != syscall.EINTR {
				return
			}
		}
	}); rawErr != nil {
		return 0, rawErr
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Expect reads as many bytes as wanted has and compares them: see [ErrWrongBytes].
func (k *Conn) Expect(wanted []byte) error {
	got := make([]byte, len(wanted))
	n, err := k.ReadFull(got)
	if i := mismatch(got[:n], wanted); i < n {
		return &wrongBytes{at: i, got: got[i:n], wanted: wanted[i:]}
	}
	if err != nil {
		return fmt.Errorf("received %d of %d bytes of the answer: %w", n, len(wanted), err)
	}
	return nil
}

// ExpectEnd reads the end of the stream.
func (k *Conn) ExpectEnd() error {
	one := make([]byte, 64)
	n, err := k.ReadFull(one)
	switch {
	case errors.Is(err, io.EOF) && n == 0:
		return nil
	case n > 0:
		return &wrongBytes{got: one[:n]}
	}
	return fmt.Errorf("no end of the stream: %w", err)
}

// ErrWrongBytes is wrapped where bytes came that are not those of the answer.
var ErrWrongBytes = errors.New("wrong bytes")

// wrongBytes says where an answer differs from what it should be.
type wrongBytes struct {
	at          int
	got, wanted []byte
}

func (w *wrongBytes) Unwrap() error { return ErrWrongBytes }

func (w *wrongBytes) Error() string {
	const maxShown = 24
	cut := func(b []byte) string {
		if len(b) > maxShown {
			return fmt.Sprintf("%q…", b[:maxShown])
		}
		return fmt.Sprintf("%q", b)
	}
	if len(w.wanted) == 0 {
		return fmt.Sprintf("%s arrives instead of the end of the stream", cut(w.got))
	}
	return fmt.Sprintf("from byte %d the answer is %s instead of %s", w.at, cut(w.got), cut(w.wanted))
}

// mismatch returns the index of the first byte that differs, or the shorter length.
func mismatch(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// plain takes off what package net puts around an error, which names addresses
// that the evidence has anyway.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	if errors.Is(err, net.ErrClosed) {
		return errDismissed // the check closed it while this client waited
	}
	return err
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
