package forkserver

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// output is where the server's events go. After done it takes no more, so that
// done is the last line even if a worker ends in the same moment.
//
// The lines are written by a goroutine of their own, so that a log that nobody
// reads, a pipe that is full, holds up nobody but that goroutine. What it cannot
// write is kept up to mostPending and then lost, and the loss is told as soon as
// there is room (log-lost). A non-blocking descriptor would not do:
// O_NONBLOCK belongs to the open file description, which others share (open(2)).
type output struct {
	w      io.Writer
	defect Defect

	mu      sync.Mutex
	pending []byte // whole lines
	lost    int    // lines, not told yet
	ended   bool
	more    chan struct{} // holds a token if something changed since it was last taken
	flushed chan struct{} // closed when the last line was written
}

const (
	// mostPending is how many bytes wait for whoever reads the log: some thousand events.
	mostPending = 1 << 20
	// lastWords is how long the end of the server waits for whoever reads the log.
	lastWords = time.Second
)

func newOutput(w io.Writer, defect Defect) *output {
	o := &output{w: w, defect: defect, more: make(chan struct{}, 1), flushed: make(chan struct{})}
	if defect != BlocksOnLog {
		go o.flush()
	}
	return o
}

// Write takes one line.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return len(line), nil
	}
	if o.defect == BlocksOnLog {
		return o.w.Write(line)
	}
	o.add(line)
	return len(line), nil
}

// add queues a line, after what has to be told of earlier ones, or counts it as
// lost. The caller holds the lock.
func (o *output) add(line []byte) {
	if len(o.pending)+len(line) > mostPending {
		o.lost++
		return
	}
	if lost := o.lost; lost > 0 {
		o.lost = 0
		var told bytes.Buffer
		slog.New(slog.NewJSONHandler(&told, nil)).Warn("log-lost", "lines", lost)
		o.pending = append(o.pending, told.Bytes()...)
	}
	o.pending = append(o.pending, line...)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// flush writes what is pending, for ever or until done.
func (o *output) flush() {
	var batch []byte
	torn := false // the last line that was written is not whole
	for range o.more {
		o.mu.Lock()
		batch, o.pending = o.pending, batch[:0]
		ended := o.ended
		o.mu.Unlock()
		if torn {
			_, err := o.w.Write([]byte("\n"))
			torn = err != nil
		}
		n, err := o.w.Write(batch)
		if n > 0 {
			torn = batch[n-1] != '\n'
		}
		if err != nil {
			o.failed(batch[n:])
		}
		if ended {
			close(o.flushed)
			return
		}
	}
}

// failed counts the lines that an error of write has cost, such as ENOSPC. The log
// may be writable again later.
func (o *output) failed(rest []byte) {
	if o.defect == DiesOfLog {
		os.Exit(1)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost += bytes.Count(rest, []byte("\n"))
}

// logger returns a logger of events of this level and above.
func (o *output) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(o, &slog.HandlerOptions{Level: level}))
}

// done writes the last line, to which no level applies, and waits until it is
// written, but no longer than lastWords.
func (o *output) done(c Counts) {
	var line bytes.Buffer
	slog.New(slog.NewJSONHandler(&line, nil)).Info("done", "counts", c)
	_, _ = o.Write(line.Bytes()) // there is nobody left to tell
	o.mu.Lock()
	o.ended = true
	o.mu.Unlock()
	if o.defect == BlocksOnLog {
		return
	}
	select {
	case o.more <- struct{}{}:
	default:
	}
	select {
	case <-o.flushed:
	case <-time.After(lastWords):
	}
}
