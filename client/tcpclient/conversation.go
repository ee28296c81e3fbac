// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// dial connects as a plain client does: no keep-alive probes, so that a silent connection
// is silent on the wire.
func dial(cfg config) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: cfg.timeout, KeepAlive: -1}
	if cfg.from.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: cfg.from.AsSlice(), Zone: cfg.from.Zone()}
	}
	conn, err := dialer.Dial("tcp", cfg.address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.address, plain(err, cfg.timeout))
	}
	return conn.(*net.TCPConn), nil
}

// past is a deadline that ends a pending operation at once.
var past = time.Unix(1, 0)

// deadline returns the moment at which an operation that begins now has taken too long.
func deadline(timeout time.Duration) time.Time {
	if timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// maxPiece is how much of a message is made, written, read and compared at once.
const maxPiece = 32 << 10

// scratch is memory that one conversation after another uses.
type scratch struct{ sent, got, expected []byte }

func newScratch(size int) *scratch {
	n := min(size, maxPiece)
	return &scratch{sent: make([]byte, n), got: make([]byte, n), expected: make([]byte, n)}
}

// A conversation is one connection of a load, from its connect to its close.
type conversation struct {
	*load
	number  int // among all connections of the load
	scratch *scratch

	conn  *net.TCPConn
	held  bool // hold was called
	ended bool // the end of the stream has been read
}

func (c *conversation) run() error {
	conn, err := dial(c.cfg)
	if err != nil {
		return fmt.Errorf("connection %d: %w", c.number, err)
	}
	defer conn.Close()
	c.conn = conn
	for _, step := range []func() error{c.converse, c.hold, c.leave} {
		if err := step(); err != nil {
			return fmt.Errorf("connection %d (%v to %v): %w", c.number, conn.LocalAddr(), conn.RemoteAddr(), err)
		}
	}
	return nil
}

// converse exchanges the messages, all but the rest of the last reply with -leave-unread.
func (c *conversation) converse() error {
	for message := range c.cfg.messages {
		length := c.cfg.size
		if c.cfg.leaveUnread && message == c.cfg.messages-1 {
			length = 1
		}
		if err := c.exchange(message, length); err != nil {
			return err
		}
	}
	if c.cfg.oneShot && !c.cfg.leaveUnread {
		c.ended = true
		return c.drain()
	}
	return nil
}

// exchange sends a message and, at the same time, verifies so many bytes of its reply.
func (c *conversation) exchange(message, length int) error {
	if err := c.conn.SetDeadline(deadline(c.cfg.timeout)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		err := c.send(message)
		if err == nil && c.cfg.leaveEarly && message == c.cfg.messages-1 {
			err = c.conn.CloseWrite()
		}
		sent <- err
	}()
	receiveErr := c.receive(message, length)
	if receiveErr != nil {
		// An error means that the connection is closed, and send sees that.
		_ = c.conn.SetWriteDeadline(past)
	}
	sendErr := <-sent
	if receiveErr == nil && sendErr == nil {
		if length == c.cfg.size {
			c.report.add(func(r *Report) { r.Messages++ })
		}
		return nil
	}
	// EPIPE comes of what the receiving side has already told.
	if receiveErr != nil && (isTimeout(sendErr) || errors.Is(sendErr, syscall.EPIPE)) {
		sendErr = nil
	}
	if sendErr != nil {
		sendErr = fmt.Errorf("message %d: send: %w", message, plain(sendErr, c.cfg.timeout))
	}
	return worse(receiveErr, sendErr)
}

func (c *conversation) payload(message int) payload {
	return newPayload(c.cfg.seed, c.number, message, c.cfg.size)
}

func (c *conversation) send(message int) error {
	payload := c.payload(message)
	for offset := 0; offset < c.cfg.size; {
		piece := c.scratch.sent[:min(len(c.scratch.sent), c.cfg.size-offset)]
		payload.fill(piece, offset)
		n, err := c.conn.Write(piece)
		offset += n
		c.report.add(func(r *Report) { r.BytesSent += int64(n) })
		if err != nil {
			return err
		}
	}
	return nil
}

// receive reads so many bytes of the reply to a message, not one more, and compares them.
func (c *conversation) receive(message, length int) error {
	payload := c.payload(message)
	for offset := 0; offset < length; {
		n, err := c.conn.Read(c.scratch.got[:min(len(c.scratch.got), length-offset)])
		got, expected := c.scratch.got[:n], c.scratch.expected[:n]
		payload.fill(expected, offset)
		c.cfg.service.reply(expected)
		c.report.add(func(r *Report) { r.BytesReceived += int64(n) })
		if wrong := compare(expected, got, offset); wrong != nil {
			wrong.owner = owner(c.cfg, wrong.offset, wrong.got)
			return fmt.Errorf("message %d: %w", message, wrong)
		}
		offset += n
		if err != nil && offset < length {
			return fmt.Errorf("message %d: await the reply, %d of %d bytes so far: %w",
				message, offset, length, plain(err, c.cfg.timeout))
		}
	}
	return nil
}

// hold keeps the connection open and silent until all are released. Where nothing is left
// unread, it notices when the server does anything at all.
func (c *conversation) hold() error {
	if !c.cfg.hold {
		return nil
	}
	watched := make(chan error, 1)
	watch := !c.cfg.leaveUnread && !c.ended
	if watch {
		if err := c.conn.SetDeadline(time.Time{}); err != nil {
			return err
		}
		go func() { watched <- c.readNothing() }()
	}
	c.held = true
	c.present.Add(1)
	c.awaited.Done()
	select {
	case err := <-watched:
		return fmt.Errorf("hold: %w", err)
	case <-c.released:
	}
	if !watch {
		return nil
	}
	if err := c.conn.SetReadDeadline(past); err != nil {
		return err
	}
	if err := <-watched; outcomeOf(err) != timedOut {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// leave ends the connection in the way that was asked for.
func (c *conversation) leave() error {
	switch c.cfg.leave {
	case leaveHalfClose:
		var shutdown error
		if c.cfg.leaveEarly {
			// it was shut down with the last message
		} else if err := c.conn.CloseWrite(); err != nil {
			shutdown = fmt.Errorf("half-close: %w", plain(err, 0))
		}
		if c.ended {
			return shutdown
		}
		return worse(c.drain(), shutdown)
	case leaveReset:
		if err := c.conn.SetLinger(0); err != nil {
			return fmt.Errorf("reset: %w", plain(err, 0))
		}
	}
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("close: %w", plain(err, 0))
	}
	return nil
}

// drain reads the end of the stream, and nothing before it.
func (c *conversation) drain() error {
	if err := c.conn.SetDeadline(deadline(c.cfg.timeout)); err != nil {
		return err
	}
	err := c.readNothing()
	if errors.Is(err, errClosedEarly) {
		return nil
	}
	return fmt.Errorf("await the end of the stream: %w", err)
}

// readNothing waits until something other than bytes is read: it never returns nil.
func (c *conversation) readNothing() error {
	var surplus [maxQuoted]byte
	n, err := c.conn.Read(surplus[:])
	if n > 0 {
		c.report.add(func(r *Report) { r.BytesReceived += int64(n) })
		return &mismatchError{got: surplus[:n]}
	}
	return plain(err, c.cfg.timeout)
}
