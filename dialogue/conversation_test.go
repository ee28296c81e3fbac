// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is the longest wait of these tests for something that must come.
const patience = time.Minute

// serve lets a server serve a connection, and fails the test with its error. Neither side
// waits longer than patience.
func serve(t *testing.T, client, server net.Conn, serve func(net.Conn) error) {
	t.Helper()
	require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
	served := make(chan error, 1)
	go func() { served <- serve(server) }()
	t.Cleanup(func() {
		client.Close()
		assert.NoError(t, <-served)
		server.Close()
	})
}

// converse returns a conversation with a server over a pipe, whose writes wait for reads.
func converse(t *testing.T, d Dialogue, server func(net.Conn) error) *Conversation {
	t.Helper()
	client, other := net.Pipe()
	serve(t, client, other, server)
	return NewConversation(d, OverNet(client), 1)
}

// loopback returns a TCP connection to a server.
func loopback(t *testing.T, server func(net.Conn) error) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	client, err := net.DialTimeout("tcp", l.Addr().String(), patience)
	require.NoError(t, err)
	other, err := l.Accept()
	require.NoError(t, err)
	serve(t, client, other, server)
	return client.(*net.TCPConn)
}

// played is a server that says what was recorded, in pieces of this size.
func played(r recording, size int) func(net.Conn) error {
	return func(conn net.Conn) error {
		say := func(b string) error {
			for len(b) > 0 {
				n, err := conn.Write([]byte(b[:min(size, len(b))]))
				if err != nil {
					return err
				}
				b = b[n:]
			}
			return nil
		}
		if err := say(r.greeting); err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		for _, e := range r.exchanges {
			sent := make([]byte, len(e.sent))
			if _, err := io.ReadFull(conn, sent); err != nil || string(sent) != e.sent {
				return fmt.Errorf("%q came instead of %q: %w", sent, e.sent, err)
			}
			if err := say(e.reply); err != nil {
				return fmt.Errorf("reply to %q: %w", sent, err)
			}
		}
		if r.closes {
			return conn.Close()
		}
		return nil
	}
}

// echo is a server that echoes until the stream ends, and then closes.
func echo(conn net.Conn) error {
	_, err := io.Copy(conn, conn)
	return errors.Join(err, conn.Close())
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestConversationOverTCP(t *testing.T) {
	ctx := deadline(t)
	conn := loopback(t, echo)
	c := NewConversation(resolve(t, "echo").Dialogue, OverNet(conn), 41)
	require.NoError(t, c.Hello(ctx))
	for range 3 {
		require.NoError(t, c.Round(ctx))
	}
	require.NoError(t, c.Bye(ctx))
	surplus, err := c.Finish(ctx)
	require.NoError(t, err)
	require.Zero(t, surplus)
	require.Equal(t, 43, c.heard)
}

func TestPipelining(t *testing.T) {
	ctx := deadline(t)
	const rounds = 2000
	c := NewConversation(resolve(t, "echo").Dialogue, OverNet(loopback(t, echo)), 1)
	asked := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < rounds && err == nil; i++ {
			err = c.Ask(ctx)
		}
		asked <- err
	}()
	for range rounds {
		require.NoError(t, c.Hear(ctx))
	}
	require.NoError(t, <-asked)
	_, err := c.Finish(ctx)
	require.NoError(t, err)
}

// TestFinishSendsNoReset lets a server say more than the dialogue reads: where the client
// closed with bytes unread, the server would get a reset.
func TestFinishSendsNoReset(t *testing.T) {
	ctx := deadline(t)
	const more = 300_000
	conn := loopback(t, func(conn net.Conn) error {
		if _, err := conn.Write([]byte("no" + strings.Repeat("x", more))); err != nil {
			return err
		}
		sent, err := io.ReadAll(conn)
		if string(sent) != "a" {
			err = fmt.Errorf("%q came: %w", sent, err)
		}
		return errors.Join(err, conn.Close())
	})
	c := NewConversation(mustParse(t, `> "a" < "yes"`), OverNet(conn), 1)
	require.ErrorContains(t, c.Round(ctx), `round 1, step 2: from byte 0 of the reply "no`)
	surplus, err := c.Finish(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2+more, surplus)
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	release := make(chan struct{})
	d := mustParse(t, `> "a" < "bc"`)
	c := converse(t, d, func(conn net.Conn) error {
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("b")); err != nil {
			return err
		}
		cancel(errors.New("enough waited")) // the client has read the b, as a pipe has no buffer
		<-release
		_, err := conn.Write([]byte("bc"))
		return err
	})
	err := c.Round(ctx)
	require.EqualError(t, err, `round 1, step 2: "bc" did not come; from byte 0 of the reply "b" came: enough waited`)
	close(release)
	require.NoError(t, c.reply(deadline(t), NewMatcher(d.Round[1], 1, 0)), "a context that is over ends no later call")
}

func TestWriteDeadline(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c := converse(t, mustParse(t, `> "abc"`), func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 1))
		cancel(errors.New("enough waited"))
		return err
	})
	require.EqualError(t, c.Round(ctx), `round 1, step 1: sent 1 of 3 bytes: enough waited`)
}

func TestNothingIsSaidAfterTheEnd(t *testing.T) {
	ctx := deadline(t)
	c := converse(t, mustParse(t, `> "a" < .. eof`), func(conn net.Conn) error {
		_, err := conn.Read(make([]byte, 1))
		return errors.Join(err, conn.Close())
	})
	require.NoError(t, c.Hello(ctx))
	require.NoError(t, c.Round(ctx))
	require.ErrorIs(t, c.Round(ctx), ErrEnded)
	require.NoError(t, c.Bye(ctx))
	surplus, err := c.Finish(ctx)
	require.NoError(t, err)
	require.Zero(t, surplus)
}

func TestServerEndsEarly(t *testing.T) {
	ctx := deadline(t)
	c := converse(t, mustParse(t, `hello < "220" round > "a" < "b"`), func(conn net.Conn) error {
		_, err := conn.Write([]byte("22"))
		return errors.Join(err, conn.Close())
	})
	err := c.Hello(ctx)
	var e *ReplyError
	require.ErrorAs(t, err, &e)
	require.Equal(t, EndedEarly, e.Reason)
	require.ErrorContains(t, err, `hello, step 1: the stream ended after 2 bytes of the reply`)
	require.Error(t, c.Round(ctx))
}

func TestLimit(t *testing.T) {
	ctx := deadline(t)
	conn := loopback(t, echo)
	c := NewConversation(mustParse(t, `> "0123456789\n" < .. "\n"`), OverNet(conn), 1)
	c.Limit = 10
	require.ErrorContains(t, c.Round(ctx), "did not come within 10 bytes")
	_, err := c.Finish(ctx)
	require.NoError(t, err)
}

func TestPipeCannotFinish(t *testing.T) {
	c := converse(t, Dialogue{}, func(net.Conn) error { return nil })
	require.NoError(t, c.Bye(t.Context()))
	_, err := c.Finish(t.Context())
	require.EqualError(t, err, "finish: the connection cannot end one direction alone")
}

// TestResetInPlaceOfTheEnd is an error unless it is taken for the end, and only where the end may come.
func TestResetInPlaceOfTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialogue string
		onReset  func() bool
		wanted   bool
	}{
		{`< "bye\n" .. eof`, nil, false},
		{`< "bye\n" .. eof`, func() bool { return false }, false},
		{`< "bye\n" .. eof`, func() bool { return true }, true},
		{`< "bye\nbye\n" eof`, func() bool { return true }, false},
	} {
		client := loopback(t, func(conn net.Conn) error {
			_, err := io.WriteString(conn, "bye\n")
			return errors.Join(err, conn.(*net.TCPConn).SetLinger(0), conn.Close())
		})
		d, err := Parse(c.dialogue)
		require.NoError(t, err)
		conversation := NewConversation(d, OverNet(client), 1)
		conversation.OnReset = c.onReset
		err = conversation.Whole(t.Context(), 1)
		if c.wanted {
			assert.NoError(t, err, c.dialogue)
		} else {
			assert.ErrorIs(t, err, syscall.ECONNRESET, c.dialogue)
		}
	}
}
