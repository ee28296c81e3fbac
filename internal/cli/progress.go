// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Progress is one line that says how far a run has come, once it takes longer than a moment. Its
// methods are safe for concurrent use.
type Progress struct {
	*footer
	began time.Time

	mu       sync.Mutex
	estimate estimate
	what     string // is done, such as "12 of 40 jobs"
	n, all   int
	until    time.Time // where a time ends the run, and all is 0
}

// newProgress returns a line below out, of what began then.
func newProgress(out *output, began time.Time) *Progress {
	p := &Progress{began: began, estimate: estimate{began: began}}
	p.footer = newFooter(out, func(int) []string { return p.line(time.Now()) })
	return p
}

// NewProgress returns a line below what is printed into a file, until End. It is there only where the
// file is a terminal.
func NewProgress(file *os.File) *Progress { return newProgress(newOutput(file), time.Now()) }

// End takes the line away.
func (p *Progress) End() { p.end() }

// Set says how many things are done, of how many, and of what kind, such as "jobs".
func (p *Progress) Set(done, all int, things string) {
	p.set(fmt.Sprintf("%d of %d %s", done, all, things), done, all, time.Time{})
}

// set says that so many of all things are done, and what that is in words; where all is 0, the run
// ends at the given time.
func (p *Progress) set(what string, done, all int, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.n, p.all, p.until = what, done, all, until
}

// begin begins the estimate of other things.
func (p *Progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.estimate = estimate{began: time.Now()}
}

// line is drawn, none before the run is as long as one waits without a word.
func (p *Progress) line(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := now.Sub(p.began)
	if gone < minEstimated || p.what == "" {
		return nil
	}
	text := fmt.Sprintf("%s, %v elapsed", p.what, gone.Round(time.Second))
	left := p.estimate.text(now, p.n, p.all)
	if p.all == 0 && p.until.After(now) {
		left = roughly(p.until.Sub(now)) + " left"
	}
	if left != "" {
		text += ", " + left
	}
	return []string{text}
}
