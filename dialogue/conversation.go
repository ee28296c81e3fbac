// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// Stream is what a conversation needs of a connection. Each call ends when its context ends,
// with an error. Read returns io.EOF at the end of the stream. [OverNet] makes one of a
// net.Conn.
type Stream interface {
	Read(ctx context.Context, b []byte) (int, error)
	Write(ctx context.Context, b []byte) (int, error)
	CloseWrite() error
}

// ErrEnded is the error of a conversation that goes on after the end of the stream was read.
var ErrEnded = errors.New("the dialogue has read the end of the stream, after which nothing is said")

// Conversation says a dialogue on one connection: [Conversation.Hello], then any number of
// rounds, [Conversation.Bye], and [Conversation.Finish]. An error of a reply is a
// [*ReplyError] and tells the part; after it, only Finish makes sense. A conversation is not
// safe for concurrent use, but one goroutine may Ask while another one listens with Hear.
type Conversation struct {
	// Limit is how many bytes a .. or a regular expression may read; 0 means [DefaultLimit].
	Limit int
	// OnReset is called where the dialogue reads the end of the stream and the other side resets
	// the connection instead; true takes the reset for that end. nil takes it for an error.
	OnReset func() bool

	dialogue     Dialogue
	stream       Stream
	asked, heard int // numbers of the last rounds
	unread       []byte
	buffer       []byte
	ended        bool // the stream has ended
	over         bool // the dialogue has read the end of the stream
}

// NewConversation returns a conversation on a new connection, whose first round has this
// number. The caller keeps the connection and closes it.
func NewConversation(d Dialogue, s Stream, first int) *Conversation {
	return &Conversation{dialogue: d, stream: s, asked: first - 1, heard: first - 1}
}

// Hello says and reads what comes first on each connection.
func (c *Conversation) Hello(ctx context.Context) error {
	return c.steps(ctx, "hello", c.dialogue.Hello, 0, true, true)
}

// Round says and reads one round.
func (c *Conversation) Round(ctx context.Context) error {
	c.asked++
	c.heard++
	return c.steps(ctx, fmt.Sprintf("round %d", c.heard), c.dialogue.Round, c.heard, true, true)
}

// Ask says what the next round says, and reads nothing. It is for a dialogue with the ability
// [Pipelines]; [Conversation.Hear] reads the replies in the same order.
func (c *Conversation) Ask(ctx context.Context) error {
	c.asked++
	return c.steps(ctx, fmt.Sprintf("round %d", c.asked), c.dialogue.Round, c.asked, true, false)
}

// Hear reads the reply to the first round that was asked and not yet heard.
func (c *Conversation) Hear(ctx context.Context) error {
	c.heard++
	return c.steps(ctx, fmt.Sprintf("round %d", c.heard), c.dialogue.Round, c.heard, false, true)
}

// Bye says and reads what ends the dialogue, and nothing after the end of the stream.
func (c *Conversation) Bye(ctx context.Context) error {
	if c.over {
		return nil
	}
	return c.steps(ctx, "bye", c.dialogue.Bye, 0, true, true)
}

// Whole says the dialogue from the hello to the bye, with so many rounds, or as many as it has.
// Without an error, the dialogue has matched.
func (c *Conversation) Whole(ctx context.Context, rounds int) error {
	switch abilities := c.dialogue.Abilities(); {
	case len(c.dialogue.Round) == 0:
		rounds = 0
	case !slices.Contains(abilities, Repeats):
		rounds = min(rounds, 1)
	}
	err := c.Hello(ctx)
	for i := 0; i < rounds && err == nil; i++ {
		err = c.Round(ctx)
	}
	if err != nil {
		return err
	}
	return c.Bye(ctx)
}

// Finish ends this side of the connection with a FIN and reads until the other side has ended
// its own, so that closing the connection sends no reset. It returns how many bytes came that
// the dialogue did not read. It may follow an error; after that of a context it needs another one.
func (c *Conversation) Finish(ctx context.Context) (surplus int64, err error) {
	if err := c.stream.CloseWrite(); err != nil && !c.ended {
		return 0, fmt.Errorf("finish: %w", err)
	}
	for surplus = int64(len(c.unread)); !c.ended; surplus += int64(len(c.unread)) {
		if err := c.receive(ctx); err != nil {
			return surplus, fmt.Errorf("finish: no end of the stream: %w", err)
		}
	}
	c.unread = nil
	return surplus, nil
}

// Unread returns what came and was not read by the dialogue.
func (c *Conversation) Unread() []byte { return slices.Clone(c.unread) }

func (c *Conversation) steps(ctx context.Context, name string, steps []Step, number int, says, hears bool) error {
	if hears && c.over {
		return fmt.Errorf("%s: %w", name, ErrEnded)
	}
	for i, s := range steps {
		var err error
		switch {
		case s.sends && says:
			var n int
			sent := s.Bytes(number)
			if n, err = c.stream.Write(ctx, sent); err != nil {
				err = fmt.Errorf("sent %d of %d bytes: %w", n, len(sent), err)
			}
		case !s.sends && hears:
			err = c.reply(ctx, NewMatcher(s, number, c.Limit))
		}
		if err != nil {
			return fmt.Errorf("%s, step %d: %w", name, i+1, err)
		}
	}
	return nil
}

func (c *Conversation) reply(ctx context.Context, m *Matcher) error {
	for !m.Done() {
		n, _, err := m.Feed(c.unread)
		c.unread = c.unread[n:]
		switch {
		case err != nil:
			return err
		case m.Done():
		case c.ended:
			err := m.End()
			c.over = err == nil
			return err
		default:
			err := c.receive(ctx)
			if errors.Is(err, syscall.ECONNRESET) && m.AtEnd() && c.OnReset != nil && c.OnReset() {
				c.ended, err = true, nil
			}
			if err != nil {
				return m.Abort(err)
			}
		}
	}
	return nil
}

// receive reads what comes next, or that the stream has ended.
func (c *Conversation) receive(ctx context.Context) error {
	if c.buffer == nil {
		c.buffer = make([]byte, 16<<10)
	}
	n, err := c.stream.Read(ctx, c.buffer)
	c.unread = c.buffer[:n]
	switch {
	case errors.Is(err, io.EOF):
		c.ended = true
	case err != nil && n == 0:
		return err
	}
	return nil
}

// OverNet returns the stream of a connection. It needs a CloseWrite, as that of a
// *net.TCPConn, for [Conversation.Finish] only. Contexts must end: nothing else ends a wait.
// The connection's deadlines belong to the stream.
func OverNet(conn net.Conn) Stream { return overNet{conn} }

type overNet struct{ conn net.Conn }

func (s overNet) Read(ctx context.Context, b []byte) (int, error) {
	return within(ctx, s.conn.SetReadDeadline, s.conn.Read, b)
}

func (s overNet) Write(ctx context.Context, b []byte) (int, error) {
	return within(ctx, s.conn.SetWriteDeadline, s.conn.Write, b)
}

func (s overNet) CloseWrite() error {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.New("the connection cannot end one direction alone")
}

// within lets a call end when the context ends.
func within(ctx context.Context, setDeadline func(time.Time) error, call func([]byte) (int, error), b []byte) (int, error) {
	_ = setDeadline(time.Time{}) // it fails on a connection that is closed, of which the call knows more
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = setDeadline(time.Unix(1, 0))
	})
	n, err := call(b)
	if !stop() {
		<-expired // so that it does not end the next call
		if err != nil && !errors.Is(err, io.EOF) {
			err = context.Cause(ctx)
		}
	}
	return n, err
}
