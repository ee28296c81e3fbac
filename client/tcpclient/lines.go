// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

var errServerClosed = errors.New("closed the connection before the end of input")

// An inputError is a failure of the input, not of the connection.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

// sendTyped sends the lines of standard input, of any length, each in one piece as far as
// the buffer goes, and prints the replies.
func sendTyped(cfg config, std streams) error {
	return exchangeLines(cfg, std.out, func(_ context.Context, w io.Writer) error {
		input := bufio.NewReaderSize(std.in, 64<<10)
		for {
			line, inputErr := input.ReadSlice('\n')
			if len(line) > 0 {
				if _, err := w.Write(line); err != nil {
					return err
				}
			}
			switch {
			case inputErr == io.EOF:
				return nil
			case inputErr != nil && !errors.Is(inputErr, bufio.ErrBufferFull):
				return inputError{fmt.Errorf("read standard input: %w", inputErr)}
			}
		}
	})
}

// sendCounted sends "data : 0", "data : 1", … one at each interval, the first at once, and
// prints the replies.
func sendCounted(cfg config, std streams) error {
	return exchangeLines(cfg, std.out, func(ctx context.Context, w io.Writer) error {
		ticker := time.NewTicker(max(cfg.interval, 1))
		defer ticker.Stop()
		for i := 0; cfg.count == 0 || i < cfg.count; i++ {
			if i > 0 && cfg.interval > 0 {
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if _, err := fmt.Fprintf(w, "data : %d\n", i); err != nil {
				return err
			}
		}
		return nil
	})
}

// exchangeLines connects, lets send write to the server and prints what the server sends.
// When send returns nil it half-closes and goes on printing to the end of the stream. It
// does not wait for send when the server closes first; send's context ends then.
func exchangeLines(cfg config, out io.Writer, send func(context.Context, io.Writer) error) error {
	conn, err := dial(cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	sent := make(chan error, 1)
	go func() { sent <- send(ctx, patientWriter{conn, cfg.timeout}) }()
	printer := printer{conn: conn, out: out, timeout: cfg.timeout}
	printed := make(chan error, 1)
	go func() { printed <- printer.run() }()

	select {
	case err := <-printed:
		if err != nil {
			return fmt.Errorf("receive from %s: %w", cfg.address, plain(err, cfg.timeout))
		}
		select {
		case err := <-sent:
			return closedFirst(cfg, err)
		default:
			return fmt.Errorf("%s %w", cfg.address, errServerClosed)
		}
	case err := <-sent:
		var input inputError
		if errors.As(err, &input) || isTimeout(err) {
			return fmt.Errorf("send to %s: %w", cfg.address, plain(err, cfg.timeout))
		}
		if err == nil {
			// An error means that the connection is gone, which the printer tells better.
			_ = conn.CloseWrite()
		}
		printer.drain()
		if ended := <-printed; ended != nil {
			return fmt.Errorf("await the end of the stream from %s: %w", cfg.address, plain(ended, cfg.timeout))
		}
		return closedFirst(cfg, err)
	}
}

// closedFirst judges the server's end of stream by how the sending went.
func closedFirst(cfg config, sent error) error {
	var input inputError
	switch {
	case sent == nil:
		return nil
	case errors.As(sent, &input), errors.Is(sent, syscall.ECONNRESET):
		return fmt.Errorf("send to %s: %w", cfg.address, plain(sent, cfg.timeout))
	}
	return fmt.Errorf("%s %w", cfg.address, errServerClosed)
}

// A patientWriter writes to a connection with a time limit for each write.
type patientWriter struct {
	conn    *net.TCPConn
	timeout time.Duration
}

func (w patientWriter) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(deadline(w.timeout)); err != nil {
		return 0, err
	}
	return w.conn.Write(b)
}

// A printer copies a connection to out as the bytes come.
type printer struct {
	conn     *net.TCPConn
	out      io.Writer
	timeout  time.Duration
	draining atomic.Bool
}

// drain tells the printer that the input has ended: from now on silence has a limit.
func (p *printer) drain() {
	p.draining.Store(true)
	// An error means that the connection is closed, and run sees that.
	_ = p.conn.SetReadDeadline(deadline(p.timeout))
}

// run returns nil at the end of the stream.
func (p *printer) run() error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(buffer)
		if n > 0 {
			if _, err := p.out.Write(buffer[:n]); err != nil {
				return fmt.Errorf("print: %w", err)
			}
			if p.draining.Load() {
				p.drain()
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
