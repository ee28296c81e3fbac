// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"forkrig/rig/internal/pipes"
)

func openPipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		err = fmt.Errorf("open a pipe: %w", err)
	}
	return r, w, err
}

// openOutput opens what a process writes a stream to: a pipe or, where it is
// named, a file, which has no reading end.
func openOutput(file string) (r, w *os.File, err error) {
	if file == "" {
		return openPipe()
	}
	if w, err = os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); err != nil {
		err = fmt.Errorf("open a file for output: %w", err)
	}
	return nil, w, err
}

// outputPipe is the reading end of an output, and how it is to be read. Its
// fields are guarded by Output.mu.
type outputPipe struct {
	file *os.File // owned by the goroutine that reads; nil before it does and afterwards
	wish pipeWish
	full int   // so many bytes of the rig's own fill the pipe to the brim; 0 means it is read
	err  error // why it could not be filled
}

type pipeWish uint8

const (
	wishRead pipeWish = iota
	wishFull
	wishClosed
)

// ErrEnded is wrapped where an output has ended: no process has the stream
// open, it was closed, or it is a file.
var ErrEnded = errors.New("the output has ended")

// Close closes the reading end of the stream: from then on every write of the
// process, and of any other process that has the stream, gives EPIPE and raises SIGPIPE
// (pipe(7)). The lines that came before are kept. It cannot be undone. It returns
// whether the stream was open until then.
func (o *Output) Close(ctx context.Context) (was bool, err error) {
	o.mu.Lock()
	was = !o.ended
	o.mu.Unlock()
	if err := o.want(ctx, wishClosed, func() (bool, error) { return o.ended, o.pipe.err }); err != nil {
		return was, fmt.Errorf("close the output: %w", err)
	}
	return was, nil
}

// Fill reads the stream no more and fills its pipe to the brim, so that the next
// write of the process blocks or, of a non-blocking descriptor, gives EAGAIN.
// What fills it is the rig's own and never shows in the output; the pipe keeps its
// least capacity, one page, until [Output.Drain] or the end of the lab. Nothing
// that the process writes is lost. The error wraps [ErrEnded] where it has ended.
// Requires Linux 2.6.35 (F_SETPIPE_SZ in fcntl(2)).
func (o *Output) Fill(ctx context.Context) error {
	err := o.want(ctx, wishFull, func() (bool, error) {
		if o.ended {
			return false, ErrEnded
		}
		return o.pipe.full > 0, o.pipe.err
	})
	if err != nil {
		o.wish(wishRead)
		return fmt.Errorf("fill the output's pipe: %w", err)
	}
	return nil
}

// Drain undoes [Output.Fill]: the stream is read again. It returns when what the
// rig had put into the pipe is out of it.
func (o *Output) Drain(ctx context.Context) error {
	if err := o.want(ctx, wishRead, func() (bool, error) { return o.ended || o.pipe.full == 0, nil }); err != nil {
		return fmt.Errorf("drain the output's pipe: %w", err)
	}
	return nil
}

// want tells the reading goroutine what to do and waits until done says yes,
// which is called with the lock held.
func (o *Output) want(ctx context.Context, wish pipeWish, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, scaled(patience))
	defer cancel()
	o.wish(wish)
	for {
		o.mu.Lock()
		yes, err := done()
		changed := o.changed
		o.mu.Unlock()
		if yes || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: others write to it all the time", ErrNotObserved)
		}
	}
}

func (o *Output) wish(wish pipeWish) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pipe.wish != wishClosed {
		o.pipe.wish, o.pipe.err = wish, nil
	}
	o.wakeReader()
	o.signal()
}

// wakeReader ends a read that waits, where something else is wished. The caller
// holds the lock.
func (o *Output) wakeReader() {
	if o.pipe.file == nil {
		return
	}
	deadline := time.Time{}
	if o.pipe.wish != wishRead {
		deadline = time.Unix(1, 0)
	}
	_ = o.pipe.file.SetReadDeadline(deadline) // an open pipe takes it
}

// collectPipe reads r to its end, or until it is to be closed, and closes it. A
// nil r has ended already.
func (o *Output) collectPipe(r *os.File) {
	if r == nil {
		o.end()
		return
	}
	o.mu.Lock()
	o.pipe.file = r
	o.wakeReader()
	o.mu.Unlock()
	o.collect(pipeReader{o, r})
}

// pipeReader reads the pipe of an output as it is wished.
type pipeReader struct {
	output *Output
	file   *os.File
}

// Read implements io.Reader. At the end, whatever it is, the file is closed.
func (p pipeReader) Read(b []byte) (n int, err error) {
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for {
		n, err = p.file.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		p.output.mu.Lock()
		wish := p.output.pipe.wish
		p.output.mu.Unlock()
		switch wish {
		case wishClosed:
			return 0, io.EOF
		case wishFull:
			// What is there comes first. Then only the rig's own bytes are in the pipe,
			// and they will be the first to come out again.
			if n, err := pipes.Read(p.file, b); n > 0 || err != nil {
				return n, err
			}
			size, err := pipes.Fill(p.file)
			if err == nil && size == 0 {
				continue // a process wrote in between
			}
			p.filled(size, err)
			if size > 0 {
				if err := p.standFull(size); err != nil {
					return 0, err
				}
			}
		}
	}
}

// filled announces that the pipe is full, or why it cannot be.
func (p pipeReader) filled(size int, err error) {
	p.output.mu.Lock()
	defer p.output.mu.Unlock()
	p.output.pipe.full, p.output.pipe.err = size, err
	p.output.signal()
}

// standFull waits until the pipe is to be read again and takes the rig's own
// bytes out of it.
func (p pipeReader) standFull(size int) error {
	for {
		p.output.mu.Lock()
		wish, changed := p.output.pipe.wish, p.output.changed
		p.output.mu.Unlock()
		if wish == wishClosed {
			return io.EOF
		}
		if wish == wishRead {
			break
		}
		<-changed
	}
	if err := pipes.Empty(p.file, size); err != nil {
		return err
	}
	p.filled(0, nil)
	return nil
}

func (p pipeReader) close() {
	p.output.mu.Lock()
	p.output.pipe.file = nil
	wish := p.output.pipe.wish
	p.output.mu.Unlock()
	if wish != wishClosed {
		p.file.Close()
		return
	}
	if err := pipes.CloseReader(p.file); err != nil {
		p.output.mu.Lock()
		p.output.pipe.err = err
		p.output.mu.Unlock()
	}
}
