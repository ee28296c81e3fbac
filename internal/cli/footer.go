// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"forkrig/scorecard"
)

// A footer is some lines that stand below what is printed on a terminal, and say how far a run has
// come. It is drawn again when something is printed, and from time to time. Where the output is no
// terminal, there is none. Its methods are safe for concurrent use.
type footer struct {
	out   *output
	live  bool                      // out is a terminal
	lines func(height int) []string // what stands there now, in at most so many lines

	mu    sync.Mutex
	drawn int // lines
	quit  chan struct{}
	done  chan struct{}
}

// redrawEvery is how often a footer is drawn again.
const redrawEvery = 200 * time.Millisecond

// newFooter returns a footer with the given lines, until it ends. lines is not called after that.
func newFooter(out *output, lines func(height int) []string) *footer {
	f := &footer{out: out, lines: lines, quit: make(chan struct{}), done: make(chan struct{}),
		live: term.IsTerminal(int(out.file.Fd())) && os.Getenv("TERM") != "dumb"}
	if f.live {
		out.below.Store(f)
	}
	go f.redraw()
	return f
}

// end takes the footer away.
func (f *footer) end() {
	f.out.below.Store(nil)
	close(f.quit)
	<-f.done
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = false
	f.print("")
}

func (f *footer) redraw() {
	defer close(f.done)
	if !f.live {
		return
	}
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-f.quit:
			return
		case <-ticker.C:
			f.say("")
		}
	}
}

// Write implements [io.Writer]. The text has to be whole lines.
func (f *footer) Write(text []byte) (int, error) {
	f.say(string(text))
	return len(text), nil // out knows an error
}

func (f *footer) say(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.print(text)
}

// print writes text above the footer. The caller holds the lock.
func (f *footer) print(text string) {
	var b bytes.Buffer
	if f.drawn > 0 { // up to the begin of the footer, and erase it
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", f.drawn)
		f.drawn = 0
	}
	b.WriteString(text)
	if f.live {
		f.draw(&b)
	}
	_, _ = f.out.Write(b.Bytes()) // out knows an error
}

func (f *footer) draw(b *bytes.Buffer) {
	width, height, err := term.GetSize(int(f.out.file.Fd()))
	if err != nil || width < 20 {
		width, height = 80, 24
	}
	for _, line := range f.lines(height) {
		runes := []rune(scorecard.Printable(strings.ReplaceAll(line, "\n", " ")))
		fmt.Fprintln(b, string(runes[:min(len(runes), width-1)]))
		f.drawn++
	}
}
