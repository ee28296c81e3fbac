// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// Output keeps what a process and its children wrote to one stream, as lines:
// the first 1,000 and the last 4,000, each cut at 4 KiB. The stream itself is
// read to its end, so that a full pipe never blocks the process, unless
// [Output.Fill] or [Output.Close] make the rig a bad reader. It is safe for
// concurrent use.
type Output struct {
	mu      sync.Mutex
	head    []string
	tail    []string // a ring once it is full
	next    int      // where the ring goes on
	total   int
	changed chan struct{} // closed and replaced at each line and at the end
	ended   bool
	pipe    outputPipe
	told    func(line string) // is called with each line that is kept; set before the first one
}

const (
	outputHead      = 1000
	outputTail      = 4000
	outputLineBytes = 4096
)

func newOutput() *Output { return &Output{changed: make(chan struct{})} }

// outputReadBytes is what a pipe holds (pipe(7)).
const outputReadBytes = 64 << 10

// collect reads r to its end. It takes the lock once for all that a read returned, and
// skips lines that would not be kept: what floods its output would wait for the rig
// otherwise, and be taken for one that sleeps now and then.
func (o *Output) collect(r io.Reader) {
	chunk := make([]byte, outputReadBytes)
	line := make([]byte, 0, outputLineBytes) // what was read of the last line, or of its beginning
	begun := false
	for {
		n, err := r.Read(chunk)
		o.mu.Lock()
		rest := chunk[:n]
		if skipped := bytes.Count(rest, newline) - outputTail; skipped > 0 && len(o.head) == outputHead {
			rest = lastLines(rest, outputTail)
			o.total += skipped
			line = line[:0]
		}
		for len(rest) > 0 {
			part, after, complete := bytes.Cut(rest, newline)
			line = append(line, part[:min(len(part), outputLineBytes-len(line))]...)
			if begun = !complete; complete {
				o.add(string(line))
				line = line[:0]
			}
			rest = after
		}
		if err != nil && begun {
			o.add(string(line))
		}
		o.ended = err != nil
		o.signal()
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

var newline = []byte{'\n'}

// lastLines returns the last n whole lines of b, of which it has more, and what follows them.
func lastLines(b []byte, n int) []byte {
	end := len(b)
	for range n + 1 {
		end = bytes.LastIndexByte(b[:end], '\n')
	}
	return b[end+1:]
}

// add keeps a line. The caller holds the lock.
func (o *Output) add(line string) {
	o.total++
	if o.told != nil {
		o.told(line)
	}
	switch {
	case len(o.head) < outputHead:
		o.head = append(o.head, line)
	case len(o.tail) < outputTail:
		o.tail = append(o.tail, line)
	default:
		o.tail[o.next] = line
		o.next = (o.next + 1) % outputTail
	}
}

// end says that nothing more comes.
func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.signal()
}

// signal wakes all that wait. The caller holds the lock.
func (o *Output) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// Lines returns the lines kept so far, oldest first.
func (o *Output) Lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines()
}

func (o *Output) lines() []string {
	lines := append([]string(nil), o.head...)
	lines = append(lines, o.tail[o.next:]...)
	return append(lines, o.tail[:o.next]...)
}

// Total returns how many lines were written, kept or not.
func (o *Output) Total() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// Last returns up to n lines from the end.
func (o *Output) Last(n int) []string {
	lines := o.Lines()
	return lines[max(0, len(lines)-n):]
}

// AwaitLine waits for a line, earlier ones included, that match says yes to,
// and returns it. what names the expectation. It returns early with an error
// when the stream has ended without such a line.
func (o *Output) AwaitLine(ctx context.Context, what string, match func(line string) bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, scaled(patience))
	defer cancel()
	for {
		o.mu.Lock()
		lines, changed, ended := o.lines(), o.changed, o.ended
		o.mu.Unlock()
		for _, line := range lines {
			if match(line) {
				return line, nil
			}
		}
		last := "nothing"
		if len(lines) > 0 {
			last = lines[len(lines)-1]
		}
		if ended {
			return "", fmt.Errorf("await %s: %w: the output ended; last line: %s", what, ErrNotObserved, last)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("await %s: %w; last line: %s", what, ErrNotObserved, last)
		}
	}
}

// AwaitEnd waits until every process that held the stream has closed it.
func (o *Output) AwaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scaled(patience))
	defer cancel()
	for {
		o.mu.Lock()
		changed, ended := o.changed, o.ended
		o.mu.Unlock()
		if ended {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await the end of the output: %w: a process still holds it open", ErrNotObserved)
		}
	}
}
