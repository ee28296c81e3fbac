package tcpclient

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// largestPiece is how much of a message is made, written, read and compared at once.
const largestPiece = 32 << 10

// scratch is the memory of one worker, used by one conversation after another.
type scratch struct{ sent, got, expected []byte }

func newScratch(size int) *scratch {
	n := min(size, largestPiece)
	return &scratch{sent: make([]byte, n), got: make([]byte, n), expected: make([]byte, n)}
}

// A conversation is one connection of a load, from its connect to its leaving.
type conversation struct {
	cfg     config
	process int
	number  int // among the connections of all processes
	tally   *tally
	events  *lineWriter // nil keeps silent
	scratch *scratch

	holding *gathering // nil without -hold
	leaving *gathering // nil where connections leave without waiting

	conn   *net.TCPConn
	passed []*gathering
	unread bool // the last reply has not been read
	silent bool // the sending side has been shut down
	ended  bool // the end of the stream has been read
}

func (c *conversation) run() error {
	started := time.Now()
	conn, err := dial(c.cfg)
	if err != nil {
		return fmt.Errorf("connection %d: %w", c.number, err)
	}
	connected := time.Since(started)
	c.tally.change(func() { c.tally.Connect.add(connected) })
	defer conn.Close()
	c.conn = conn

	for _, step := range []func() error{c.converse, c.hold, c.leave} {
		if err := step(); err != nil {
			return c.explain(err)
		}
	}
	return nil
}

func (c *conversation) explain(err error) error {
	return fmt.Errorf("connection %d (%v to %v): %w", c.number, c.conn.LocalAddr(), c.conn.RemoteAddr(), err)
}

// converse exchanges the messages, all but the reading of the last reply if the client is
// to leave before it.
func (c *conversation) converse() error {
	inFull := c.cfg.messages
	if c.cfg.leaveEarly || c.cfg.leaveUnread {
		inFull--
	}
	for message := range inFull {
		if err := c.exchange(message, nil); err != nil {
			return err
		}
	}
	switch {
	case inFull < c.cfg.messages && c.cfg.leave == leaveHalfClose && c.holding == nil:
		// The half-close comes while the reply is on its way, which may be longer than
		// what the sockets' buffers take.
		c.silent = true
		return c.exchange(inFull, c.conn.CloseWrite)
	case inFull < c.cfg.messages:
		return c.sendOnly(inFull)
	case c.cfg.oneShot:
		c.ended = true
		return c.drain()
	}
	return nil
}

// exchange sends a message and verifies its reply at the same time. When all is sent, it
// calls then, if there is one.
func (c *conversation) exchange(message int, then func() error) error {
	if err := c.conn.SetDeadline(deadline(c.cfg.timeout)); err != nil {
		return err
	}
	started := time.Now()
	sent := make(chan error, 1)
	go func() {
		err := c.send(message)
		if err == nil && then != nil {
			err = then()
		}
		sent <- err
	}()
	receiveErr := c.receive(message)
	if receiveErr != nil {
		// An error means that the connection is closed, and send sees that.
		_ = c.conn.SetWriteDeadline(past)
	}
	sendErr := <-sent
	if receiveErr == nil && sendErr == nil {
		took := time.Since(started)
		c.tally.change(func() {
			c.tally.Messages++
			c.tally.RoundTrip.add(took)
		})
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
	return newPayload(c.cfg.seed, c.process, c.number, message, c.cfg.size)
}

func (c *conversation) send(message int) error {
	payload := c.payload(message)
	for offset := 0; offset < c.cfg.size; {
		piece := c.scratch.sent[:min(len(c.scratch.sent), c.cfg.size-offset)]
		payload.fill(piece, offset)
		n, err := c.conn.Write(piece)
		offset += n
		c.tally.change(func() { c.tally.BytesSent += int64(n) })
		if err != nil {
			return err
		}
	}
	return nil
}

// receive reads the reply to a message, not a byte more, and compares every byte.
func (c *conversation) receive(message int) error {
	payload := c.payload(message)
	for offset := 0; offset < c.cfg.size; {
		n, err := c.conn.Read(c.scratch.got[:min(len(c.scratch.got), c.cfg.size-offset)])
		got, expected := c.scratch.got[:n], c.scratch.expected[:n]
		payload.fill(expected, offset)
		c.cfg.service.reply(expected)
		c.tally.change(func() { c.tally.BytesReceived += int64(n) })
		if wrong := compare(expected, got, offset); wrong != nil {
			wrong.owner = owner(c.cfg, wrong.offset, wrong.got)
			return fmt.Errorf("message %d: %w", message, wrong)
		}
		offset += n
		if err != nil && offset < c.cfg.size {
			return fmt.Errorf("message %d: await the reply, %d of %d bytes so far: %w",
				message, offset, c.cfg.size, plain(err, c.cfg.timeout))
		}
	}
	return nil
}

// sendOnly sends the last message and leaves its reply unread.
func (c *conversation) sendOnly(message int) error {
	if err := c.conn.SetDeadline(deadline(c.cfg.timeout)); err != nil {
		return err
	}
	c.unread = true
	if err := c.send(message); err != nil {
		return fmt.Errorf("message %d: send: %w", message, plain(err, c.cfg.timeout))
	}
	if !c.cfg.leaveUnread {
		return nil
	}
	if err := awaitUnread(c.conn); err != nil {
		return fmt.Errorf("message %d: await the reply, to leave it unread: %w", message, plain(err, c.cfg.timeout))
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
	var surplus [mostQuoted]byte
	n, err := c.conn.Read(surplus[:])
	if n > 0 {
		c.tally.change(func() { c.tally.BytesReceived += int64(n) })
		return &mismatchError{got: surplus[:n]}
	}
	return plain(err, c.cfg.timeout)
}
