// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"forkrig/dialogue"
)

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

// Leave reads what has come, without waiting for more, and closes the connection.
func (k *Conn) Leave() {
	k.discard()
	k.Close()
}

// discard reads what has come and does not belong to the dialogue, without waiting for more, and
// says whether the stream has ended.
func (k *Conn) discard() (ended bool) {
	buffer := make([]byte, 4<<10)
	for {
		if n, err := k.ReadNow(buffer); n == 0 || err != nil {
			return err != nil
		}
	}
}

// leaveAfter ends a connection with a FIN and reads to its end. Where a conversation ended with
// this error, because the subject says nothing more, it reads until the subject is at rest.
func (k *Conn) leaveAfter(err error) {
	if Hopeless(err) {
		k.Case.leaveInOrder(k)
		return
	}
	_, _ = k.conversation.Finish(k.Case.Context()) // of a connection that no check needs any more
	k.Close()
}

// leaveInOrder ends connections on which nothing is owed: with a FIN, and with all read that comes
// until the subject closes them or is at rest.
func (c *Case) leaveInOrder(leaving ...*Conn) {
	for _, k := range leaving {
		_ = k.CloseWrite() // the subject may have reset it
	}
	w, from := c.wait(), c.stall.now()
	ticker := time.NewTicker(crowdPause)
	defer ticker.Stop()
	open := slices.Clone(leaving)
	for {
		rests, err := c.stall.restsSince(from) // before they are read
		open = slices.DeleteFunc(open, (*Conn).discard)
		if len(open) == 0 || err != nil || rests || w.over() != nil {
			break
		}
		<-ticker.C
	}
	for _, k := range leaving {
		k.Close()
	}
}

// stream is the connection as the dialogue uses it. Its waits are those of the case: until the
// subject is quiescent or busy.
type stream struct{ *Conn }

// Read implements [dialogue.Stream].
func (s stream) Read(_ context.Context, b []byte) (int, error) { return s.readAtLeast(b, 1) }

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

// maxGreeting is how much of a greeting is looked at.
const maxGreeting = 16 << 10
