package tcpclient

import (
	"fmt"
	"time"
)

// hold keeps the connection open until all are released.
func (c *conversation) hold() error {
	if c.holding == nil {
		return nil
	}
	c.come(c.holding)
	return c.stand("hold", c.holding.released, nil)
}

// leave ends the connection in the way that was asked for.
func (c *conversation) leave() error {
	switch c.cfg.leave {
	case leaveReset:
		if err := c.conn.SetLinger(0); err != nil {
			return fmt.Errorf("reset: %w", plain(err, 0))
		}
	case leaveStall:
		return c.stall()
	case leaveKill:
		// The process ends when all are here; the report of that comes first.
		c.tally.end(nil)
		c.come(c.leaving)
		select {}
	case leaveHalfClose:
		return c.halfClose()
	}
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("close: %w", plain(err, 0))
	}
	return nil
}

// halfClose shuts down the sending side and reads what is still to come.
func (c *conversation) halfClose() error {
	var shutdown error
	if !c.silent {
		if err := c.conn.CloseWrite(); err != nil {
			shutdown = fmt.Errorf("half-close: %w", plain(err, 0))
		}
	}
	if c.ended {
		return shutdown
	}
	if c.unread {
		if err := c.conn.SetDeadline(deadline(c.cfg.timeout)); err != nil {
			return err
		}
		last := c.cfg.messages - 1
		if err := c.receive(last); err != nil {
			return worse(err, shutdown)
		}
		c.tally.change(func() { c.tally.Messages++ })
	}
	return worse(c.drain(), shutdown)
}

func (c *conversation) stall() error {
	var over <-chan time.Time
	if c.cfg.stallFor > 0 {
		timer := time.NewTimer(c.cfg.stallFor)
		defer timer.Stop()
		over = timer.C
	}
	c.come(c.leaving)
	return c.stand("stall", c.leaving.released, over)
}

// stand keeps the connection open and silent until it is released or the time is over.
// Where nothing is left unread it notices when the server does anything at all.
func (c *conversation) stand(doing string, released <-chan struct{}, over <-chan time.Time) error {
	watched := make(chan error, 1)
	if !c.unread && !c.ended {
		if err := c.conn.SetDeadline(time.Time{}); err != nil {
			return err
		}
		go func() { watched <- c.readNothing() }()
	}
	select {
	case err := <-watched:
		return c.lost(doing, err)
	case <-released:
	case <-over:
	}
	if c.unread || c.ended {
		return nil
	}
	if err := c.conn.SetReadDeadline(past); err != nil {
		return err
	}
	if err := <-watched; outcomeOf(err) != timedOut {
		return c.lost(doing, err)
	}
	return nil
}

// lost tells at once what the server did to a connection that was silent.
func (c *conversation) lost(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if c.events != nil {
		// The report says it again; an output that cannot be written fails there.
		_ = c.events.write(Lost{Event: "lost", Error: c.explain(err).Error()})
	}
	return err
}

func (c *conversation) come(g *gathering) {
	c.passed = append(c.passed, g)
	g.come()
}
