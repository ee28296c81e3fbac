// SPDX-License-Identifier: Apache-2.0

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

	torn bool // the last line that was written is not whole; of flush alone
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

// add queues a line, or counts it as lost. The caller holds the lock.
func (o *output) add(line []byte) {
	if len(o.pending)+len(line) > mostPending {
		o.lost++
		return
	}
	o.pending = append(o.pending, line...)
	o.signal()
}

func (o *output) signal() {
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// flush writes what is pending, for ever or until done.
func (o *output) flush() {
	var batch []byte
	for range o.more {
		o.mu.Lock()
		batch, o.pending = o.pending, batch[:0]
		lost, ended := o.lost, o.ended
		o.mu.Unlock()
		if lost == 0 || o.tell(lost) {
			o.lose(o.write(batch))
		} else {
			o.lose(batch)
		}
		if ended {
			close(o.flushed)
			return
		}
	}
}

// tell writes that lines were lost, and says whether it could be written.
func (o *output) tell(lost int) bool {
	var line bytes.Buffer
	slog.New(slog.NewJSONHandler(&line, nil)).Warn("log-lost", "lines", lost)
	if len(o.write(line.Bytes())) > 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost -= lost
	return true
}

// write writes lines and returns what could not be written; an error, such as
// ENOSPC, may pass.
func (o *output) write(lines []byte) (rest []byte) {
	if o.torn {
		_, err := o.w.Write([]byte("\n"))
		o.torn = err != nil
	}
	n, err := o.w.Write(lines)
	if n > 0 {
		o.torn = lines[n-1] != '\n'
	}
	if err != nil && o.defect == DiesOfLog {
		os.Exit(1)
	}
	return lines[n:]
}

// lose counts lines that could not be written. One that lacks its end alone is
// not lost: see torn.
func (o *output) lose(rest []byte) {
	rest = bytes.TrimPrefix(rest, []byte("\n"))
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
	o.signal()
	select {
	case <-o.flushed:
	case <-time.After(lastWords):
	}
}
