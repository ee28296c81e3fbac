// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
)

// conversation is a connection of a client, and the answers that the client waits for.
type conversation struct {
	*judge.Conn
	number   int
	client   int // from 1
	messages int // sent so far

	owed       []byte // the part of the answers that has not come yet
	halfClosed bool   // the sending side is closed, so that the end of the stream must come, too
	served     bool   // a part of an answer has come
	ended      bool

	// excuse is the fault because of which the connection may end at any time, "" for none.
	excuse string
	// drainedBy is the server that got SIGTERM and must wait for the connection's
	// worker, or nil.
	drainedBy *rig.ProcessInfo
}

func (c *conversation) String() string { return fmt.Sprintf("connection %d", c.number) }

// addExcuse notes that a fault affects the connection.
func (c *conversation) addExcuse(fault string) {
	if c.excuse == "" {
		c.excuse = fault
	}
}

// message returns the n-th message of a connection and its answer. No line of a
// message is equal to another line, on any connection.
func (p *player) message(conn, n, size int) (message, answer []byte) {
	text := string(rune('a' + (7*conn+n)%26))
	if size > 1 || p.Service.Name == "upper" {
		var b strings.Builder
		for line := 1; b.Len() < size; line++ {
			fmt.Fprintf(&b, "connection %d message %d line %d\n", conn, n, line)
		}
		text = b.String()[:size-1] + "\n"
	}
	return []byte(text), []byte(p.Answer(text))
}

// silent says whether the stories only connect: the answer of the service to any text is not
// known.
func (p *player) silent() bool { return !judge.AnswersAnything(p.Service) }

// reachable says whether packets of the connection pass.
func (p *player) reachable(c *conversation) bool { return p.unplugged[c.client] == nil }

// answerable says whether no fault delays the answers of the connection.
func (p *player) answerable(c *conversation) bool {
	full := p.traits.AtOnce > 0 && len(p.open())+len(p.unnoticed) > p.traits.AtOnce
	return p.reachable(c) && p.shortage == nil && (c.served || !full)
}

// complete says that the subject closes the connection, because it has answered.
func (p *player) complete(c *conversation) bool { return c.served && p.Subject.Closes == judge.Server }

// connect opens a connection, and returns nil where that could not be.
func (p *player) connect(number, client int) *conversation {
	known := slices.ContainsFunc(p.conversations, func(c *conversation) bool { return c.number == number })
	if known || p.unplugged[client] != nil {
		return nil
	}
	conn, err := p.Dial(client - 1)
	if err != nil {
		if p.shortage != nil {
			return nil // the subject may refuse, or close its listener for a while
		}
		p.Fail("a client that no fault affects must be able to connect: call listen, with a backlog", "a client cannot connect: %v", err)
	}
	c := &conversation{Conn: conn, number: number, client: client}
	if p.shortage != nil {
		c.addExcuse("it was opened during a shortage")
		p.faultBegan = time.Now()
	}
	p.conversations = append(p.conversations, c)
	return c
}

func (p *player) send(c *conversation, size int) bool {
	if c.halfClosed || p.silent() || p.complete(c) {
		return false
	}
	p.exchange(c, size)
	return true
}

// exchange sends a message and, if the subject can answer now, reads the answer.
func (p *player) exchange(c *conversation, size int) {
	if p.silent() {
		p.checkConversation(c, c.AwaitAccepted())
		c.served = true
		return
	}
	if !p.answerable(c) {
		p.checkConversation(c, p.sendPart(c, size))
		return
	}
	err := p.receive(c) // answers to earlier messages
	if err == nil && !c.ended {
		err = p.sendWhole(c, size)
	}
	if err == nil && !c.ended {
		err = p.receive(c)
	}
	p.checkConversation(c, err)
}

func (p *player) halfClose(c *conversation, size int) bool {
	if c.halfClosed || size > 0 && p.complete(c) {
		return false
	}
	text, answer := p.message(c.number, c.messages, max(size, 1))
	if size == 0 || p.silent() {
		text, answer = nil, nil
	}
	if !p.answerable(c) {
		if size > 0 {
			p.checkConversation(c, p.sendPart(c, size))
		}
		if !c.ended {
			_ = c.CloseWrite() // it may have been reset
			c.halfClosed = true
		}
		return true
	}
	c.messages++
	sent := make(chan error, 1)
	go func() {
		err := c.Send(text)
		if err == nil {
			err = c.CloseWrite()
		}
		sent <- err
	}()
	c.owed, c.halfClosed = append(c.owed, answer...), true
	p.checkConversation(c, p.receiveWhileSending(c, sent))
	return true
}

// closeAnswered reads the answers that can come, and closes the connection.
func (p *player) closeAnswered(c *conversation) bool {
	if p.answerable(c) {
		p.checkConversation(c, p.receive(c))
	}
	p.hangUp(c)
	return true
}

// hangUp closes the connection. An unplugged client first reads what has arrived:
// with an answer unread the kernel would send a reset instead of the end of the
// stream; it would be lost and not sent again, and the server would never know.
func (p *player) hangUp(c *conversation) {
	if !c.ended && !p.reachable(c) {
		if _, err := p.receiveNow(c); err != nil {
			p.checkConversation(c, err)
		}
		p.unnoticed = append(p.unnoticed, c)
	}
	c.end()
}

// kill ends the connection as the kernel does when its process is killed: with a
// reset if an answer was not read. A client host that loses power sends nothing, and
// is not part of a story.
func (p *player) kill(c *conversation, size int) bool {
	if c.halfClosed || !p.reachable(c) {
		return false
	}
	if !p.silent() && !p.complete(c) {
		p.checkConversation(c, p.sendPart(c, size))
	}
	if !c.ended && p.answerable(c) && len(c.owed) > 0 && c.excuse == "" {
		p.checkConversation(c, c.Expect(c.owed[:1])) // the other bytes come, and stay unread
	}
	p.hangUp(c)
	return true
}

func (p *player) reset(c *conversation, size int) bool {
	if !p.reachable(c) {
		return false // the reset would be lost
	}
	if size > 0 && !c.halfClosed && !p.silent() && !p.complete(c) {
		p.checkConversation(c, p.sendPart(c, size))
	}
	c.Reset()
	c.end()
	return true
}

// bufferedSize is the length of a message that the buffers of any socket hold.
const bufferedSize = 5000

// sendWhole sends a message while the subject can answer it.
func (p *player) sendWhole(c *conversation, size int) error {
	text, answer := p.message(c.number, c.messages, size)
	c.messages++
	c.owed = append(c.owed, answer...)
	if size <= bufferedSize {
		return c.Send(text)
	}
	// The subject may stop reading until its answer is read.
	sent := make(chan error, 1)
	go func() { sent <- c.Send(text) }()
	return p.receiveWhileSending(c, sent)
}

// receiveWhileSending reads the answers while a message is being sent. An error in
// the answers is returned first: the sending fails because of it.
func (p *player) receiveWhileSending(c *conversation, sent <-chan error) error {
	err := p.receive(c)
	ended := c.ended
	if err != nil {
		c.Close() // ends the sending
	}
	if sendErr := <-sent; err == nil && !ended {
		err = sendErr
	}
	return err
}

// sendPart sends as much of a message as the kernel takes at once, to a subject that
// cannot answer now.
func (p *player) sendPart(c *conversation, size int) error {
	text, answer := p.message(c.number, c.messages, min(size, bufferedSize))
	n, err := c.WriteNow(text)
	if n > 0 {
		c.messages++
	}
	c.owed = append(c.owed, answer[:n]...)
	return err
}

// receive reads the answers, and the end of the stream where it must come.
func (p *player) receive(c *conversation) error {
	if c.excuse != "" {
		return p.receiveOrEnd(c)
	}
	if len(c.owed) > 0 {
		if err := c.Expect(c.owed); err != nil {
			return err
		}
		c.owed, c.served = nil, true
	}
	if c.halfClosed || p.complete(c) {
		if err := c.AwaitEnd(); err != nil {
			return err
		}
		c.end()
	}
	return nil
}

// receiveOrEnd reads the answers, or until the connection ends. A reset that the
// server sends to an unplugged client is lost, and the client would see the end with
// its next message: the connection counts as ended when the server's side is gone.
func (p *player) receiveOrEnd(c *conversation) error {
	_, err := p.Until("an answer, or the end of "+c.String(), func() (bool, string, error) {
		_, there, err := c.ServerSocket()
		if err != nil {
			return false, "", err
		}
		done, err := p.receiveNow(c)
		if err == nil && !done && !there {
			c.end()
			return true, "", nil
		}
		return done, fmt.Sprintf("%d bytes of the answer are missing", len(c.owed)), err
	})
	return err
}

// receiveNow reads what has arrived, and says whether nothing is missing any more.
func (p *player) receiveNow(c *conversation) (done bool, err error) {
	buffer := make([]byte, 64<<10)
	for {
		if c.ended || len(c.owed) == 0 && !c.halfClosed {
			return true, nil
		}
		n, err := c.ReadNow(buffer)
		switch {
		case err != nil: // the end of the stream, or a reset
			c.end()
			return true, nil
		case n == 0:
			return false, nil
		}
		if err := judge.CompareBytes(buffer[:n], c.owed); err != nil {
			return false, err
		}
		c.owed, c.served = c.owed[n:], true
	}
}

// end closes the connection, and notes that it has ended.
func (c *conversation) end() {
	c.ended, c.owed = true, nil
	c.Close()
}

// checkConversation decides whether an error of a connection is the subject's fault.
func (p *player) checkConversation(c *conversation, err error) {
	switch {
	case err == nil:
	case errors.Is(err, judge.ErrWrongBytes):
		p.Fail("each byte of an answer must arrive exactly once: after a short write, send the rest",
			"%v: %v", c, err)
	case c.ended:
	case judge.Hopeless(err) && c.excuse != "":
		p.Fail("a client that is not served must see the end of its connection: close it in every process",
			"%v is neither served nor closed after a fault (%s): %v", c, c.excuse, judge.FirstLine(err))
	case judge.Hopeless(err):
		p.Fail("a client that no fault affects must be served", "%v is not served: %v", c, judge.FirstLine(err))
	case c.excuse != "":
		c.end()
	case errors.Is(err, io.EOF) || errors.As(err, new(syscall.Errno)):
		p.Fail("a connection that no fault affects must not end", "%v ended although no fault affected it: %v", c, judge.FirstLine(err))
	default:
		p.Must(err)
	}
}
