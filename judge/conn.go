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

// converse says the dialogue of a service from now on.
func (k *Conn) converse(service dialogue.Service, over dialogue.Stream) {
	k.service, k.conversation = service, dialogue.NewConversation(service.Dialogue, over, 1)
	k.conversation.OnReset = func() bool {
		if k.Case.undisturbed {
			k.Case.resets.Store(true)
		}
		return k.Case.undisturbed || k.Case.Subject.resets
	}
}

// TakeNoReset makes a reset an error where the dialogue of the connection reads the end of the
// stream, also for a subject that always resets.
func (k *Conn) TakeNoReset() { k.conversation.OnReset = nil }

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

// Ask says what the next round says, and reads nothing. A service without a round gets a line.
func (k *Conn) Ask() error {
	if len(k.service.Dialogue.Round) == 0 {
		return k.Send([]byte("a message of a client\n"))
	}
	k.rounds++
	return k.conversation.Ask(k.Case.Context())
}

// Hello says and reads what comes first on each connection.
func (k *Conn) Hello() error {
	if k.greeted {
		return nil
	}
	k.greeted = true
	return k.conversation.Hello(k.Case.Context())
}

// Exchange says and reads a round, after the hello. With a service without a round it checks
// that the connection stands.
func (k *Conn) Exchange() error {
	if err := k.Hello(); err != nil {
		return err
	}
	if len(k.service.Dialogue.Round) == 0 {
		return k.AwaitAccepted()
	}
	return k.round()
}

func (k *Conn) round() error {
	k.rounds++
	return k.conversation.Round(k.Case.Context())
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

// Begin brings the connection to where the subject serves it: the hello, and a round where
// there is room for another one, otherwise the accept.
func (k *Conn) Begin() error {
	if k.service.Lacks(dialogue.Repeats) == "" {
		return k.Exchange()
	}
	if err := k.Hello(); err != nil {
		return err
	}
	return k.AwaitAccepted()
}

// Finish ends the conversation in order: a round where there is room for one, the bye, and the
// end from the side that closes first.
func (k *Conn) Finish() error {
	if k.rounds == 0 || k.service.Lacks(dialogue.Repeats) == "" {
		if err := k.Exchange(); err != nil {
			return err
		}
	}
	return k.End()
}

// End says the bye, and ends the connection from the side that closes first.
func (k *Conn) End() error {
	if err := k.conversation.Bye(k.Case.Context()); err != nil {
		return err
	}
	if k.service.Lacks(dialogue.ServerCloses) != "" {
		k.discard() // so that the kernel sends a FIN
	}
	return k.Close()
}

// AwaitDropped says the bye, as [Conn.End] does, and reads until the subject has
// ended the connection: the client closes its sending side only. A reset is an end, too.
func (k *Conn) AwaitDropped() error {
	err := k.conversation.Bye(k.Case.Context())
	if err == nil && k.service.Lacks(dialogue.ServerCloses) != "" {
		_ = k.CloseWrite() // where it has ended already, the next read says so
	}
	rest := make([]byte, 64<<10)
	for err == nil {
		_, err = k.ReadFull(rest)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// ExchangeAtOnce says so many rounds before it reads their replies. The service has the ability
// [dialogue.Pipelines].
func (k *Conn) ExchangeAtOnce(rounds int) error {
	for range rounds {
		if err := k.Ask(); err != nil {
			return err
		}
	}
	for range rounds {
		if err := k.conversation.Hear(k.Case.Context()); err != nil {
			return err
		}
	}
	return nil
}

// ExchangeByBytes is [Conn.Exchange] where each byte is sent when the subject has read the one
// before it, or is at rest.
func (k *Conn) ExchangeByBytes() error {
	k.byBytes = true
	defer func() { k.byBytes = false }()
	return k.Exchange()
}

// AwaitRead waits until the subject has read what was sent.
func (k *Conn) AwaitRead() error {
	_, err := k.Case.Until("the subject to read", func() (bool, string, error) {
		s, there, err := k.ServerSocket()
		return !there || s.RecvQueue == 0, fmt.Sprintf("%d bytes unread", s.RecvQueue), err
	})
	return err
}

// ExpectNoMore checks that nothing came after the last reply when the subject is at rest.
func (k *Conn) ExpectNoMore() error {
	k.Case.AwaitRest()
	more := make([]byte, 64)
	n, err := k.ReadNow(more)
	if unread := append(k.conversation.Unread(), more[:n]...); len(unread) > 0 {
		return &wrongBytes{got: unread}
	}
	if errors.Is(err, io.EOF) {
		err = nil // it has closed, which the bye judges
	}
	return err
}

// discard reads what has come and does not belong to the dialogue, without waiting for more.
func (k *Conn) discard() {
	buffer := make([]byte, 4<<10)
	for {
		if n, err := k.ReadNow(buffer); n == 0 || err != nil {
			return
		}
	}
}

// AwaitEnd reads the end of the stream, after what a service without answers sends before it.
func (k *Conn) AwaitEnd() error {
	if k.service.Lacks(dialogue.Answers) == "" {
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
	k, err := c.VisitOrStay(n)
	if k != nil {
		k.Close()
	}
	return err
}

// VisitOrStay is [Case.Visit] where a client that is not served does not leave: it is returned.
// What is owed to one that has left would meet a reset.
func (c *Case) VisitOrStay(n int) (*Conn, error) {
	k, err := c.Dial(n)
	if err == nil {
		err = k.Finish()
	}
	c.served(err)
	if err != nil {
		return k, err
	}
	c.left()
	return nil, nil
}

// Leave reads what has come, without waiting for more, and closes the connection.
func (k *Conn) Leave() {
	k.discard()
	k.Close()
}

func (c *Case) visit(n int) error {
	k, err := c.Dial(n)
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Finish()
}

// Send sends bytes.
func (k *Conn) Send(b []byte) error {
	if sent, err := k.send(b); err != nil {
		return fmt.Errorf("sent %d of %d bytes: %w", sent, len(b), err)
	}
	return nil
}

// send sends bytes and says how many it sent.
func (k *Conn) send(b []byte) (sent int, err error) {
	w := k.Case.wait()
	var over error
	for sent < len(b) {
		n, err := k.attempt(k.SetWriteDeadline, k.TCPConn.Write, syscall.Write, b[sent:], over != nil)
		sent += n
		switch {
		case err == nil || n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			over = nil
			if n > 0 {
				w = k.Case.wait() // from now on
			}
			continue
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return sent, plain(err)
		case over != nil:
			return sent, over
		}
		over = w.over()
	}
	return sent, nil
}

// ReadFull reads until the buffer is full or the stream ends, and says how much came.
func (k *Conn) ReadFull(b []byte) (int, error) { return k.readAtLeast(b, len(b)) }

// readAtLeast reads until so many bytes came or the stream ends, and says how much came.
func (k *Conn) readAtLeast(b []byte, enough int) (int, error) {
	w := k.Case.wait()
	var over error
	for n := 0; ; {
		got, err := k.attempt(k.SetReadDeadline, k.TCPConn.Read, syscall.Read, b[n:], over != nil)
		n += got
		switch {
		case n >= enough:
			return n, nil
		case got > 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
			over = nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if over != nil {
				if (errors.Is(over, ErrQuiescent) || errors.Is(over, errDismissed)) && k.forgotten() {
					over = ErrForgotten
				}
				return n, over
			}
			over = w.over()
		case err != nil:
			return n, plain(err)
		}
	}
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

// stream is the connection as the dialogue uses it. Its waits are those of the case: until the
// subject is quiescent or busy.
type stream struct{ *Conn }

// Read implements [dialogue.Stream].
func (s stream) Read(_ context.Context, b []byte) (int, error) { return s.readAtLeast(b, 1) }

// recording is a stream that keeps the begin of what came.
type recording struct {
	stream
	came []byte
}

// Read implements [dialogue.Stream].
func (r *recording) Read(ctx context.Context, b []byte) (int, error) {
	n, err := r.stream.Read(ctx, b)
	r.came = append(r.came, b[:min(n, maxGreeting-len(r.came))]...)
	return n, err
}

// Write implements [dialogue.Stream].
func (s stream) Write(_ context.Context, b []byte) (int, error) {
	before := min(s.ahead, len(b))
	s.ahead -= before
	if !s.byBytes {
		sent, err := s.send(b[before:])
		return before + sent, err
	}
	for i := before; i < len(b); i++ {
		if _, err := s.send(b[i : i+1]); err != nil {
			return i, err
		}
		if err := s.AwaitRead(); err != nil && !Hopeless(err) {
			return i, err
		}
	}
	return len(b), nil
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
	if wrong := CompareBytes(got[:n], wanted); wrong != nil {
		return wrong
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
		return fmt.Sprintf("%s arrives after the end of the answer", cut(w.got))
	}
	return fmt.Sprintf("from byte %d the answer is %s instead of %s", w.at, cut(w.got), cut(w.wanted))
}

// CompareBytes returns an error that wraps [ErrWrongBytes] where what came is not the begin of
// what is wanted.
func CompareBytes(got, wanted []byte) error {
	for i := range got {
		if i == len(wanted) || got[i] != wanted[i] {
			return &wrongBytes{at: i, got: got[i:], wanted: wanted[i:]}
		}
	}
	return nil
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
