// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"forkrig/judge"
	"forkrig/scorecard"
)

// screen shows how a trial goes on: a line for each check as it ends, but for those that are
// not judged because of what was told before. On a terminal the checks that go on stand below
// these lines, each with its time and what it waits for, and how many are left. Its methods are
// safe for concurrent use.
type screen struct {
	out     *output
	live    bool // out is a terminal
	verbose bool
	all     []scorecard.Result // every check, in the order of the table

	mu       sync.Mutex
	ended    int
	running  []*judge.Run // in the order of the table
	unserved []string     // families in which no check is judged, told before
	drawn    int          // lines below the results that are drawn now
	quit     chan struct{}
	done     chan struct{}
}

// redrawEvery is how often the lower part of a terminal is drawn again.
const redrawEvery = 200 * time.Millisecond

// maxRunning is how many checks that go on are shown.
const maxRunning = 8

func newScreen(out *output, all []scorecard.Result, verbose bool) *screen {
	s := &screen{out: out, verbose: verbose, all: slices.Clone(all), quit: make(chan struct{}), done: make(chan struct{}),
		live: term.IsTerminal(int(out.file.Fd())) && os.Getenv("TERM") != "dumb"}
	go s.redraw()
	return s
}

// place is where the run stands in the table.
func (s *screen) place(run *judge.Run) int {
	return slices.IndexFunc(s.all, func(r scorecard.Result) bool {
		return r.Name == run.Check.Name && r.Family == run.Family.String()
	})
}

// end takes the lower part away.
func (s *screen) end() {
	close(s.quit)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = false
	s.print("")
}

func (s *screen) redraw() {
	defer close(s.done)
	if !s.live {
		return
	}
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-ticker.C:
			s.say("")
		}
	}
}

func (s *screen) tell(e judge.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Journal != nil:
		s.print(fmt.Sprintf("%s %v %s\n", e.Run.Check.Name, e.Run.Family, scorecard.Printable(e.Journal.String())))
	case e.Result == nil:
		s.running = append(s.running, e.Run)
		slices.SortFunc(s.running, func(a, b *judge.Run) int { return s.place(a) - s.place(b) })
		if s.verbose {
			s.print(fmt.Sprintf("%s %v begins\n", e.Run.Check.Name, e.Run.Family))
		}
	default:
		s.ended++
		s.running = slices.DeleteFunc(s.running, func(r *judge.Run) bool { return r == e.Run })
		r := *e.Result
		unserved := strings.HasPrefix(r.Reason, scorecard.NotServed)
		if r.Verdict == scorecard.Skip && r.CauseID != 0 || unserved && slices.Contains(s.unserved, r.Family) {
			return // it was told before
		}
		if unserved {
			s.unserved = append(s.unserved, r.Family)
			r.Name = "all checks"
		}
		s.print(r.Line(s.out.style()) + "\n")
	}
}

func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(text)
}

// print writes text above the lower part, which is drawn again. The caller holds the lock.
func (s *screen) print(text string) {
	var b bytes.Buffer
	if s.drawn > 0 { // up to the begin of the lower part, and erase it
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
	b.WriteString(text)
	if s.live {
		s.draw(&b)
	}
	_, _ = s.out.Write(b.Bytes()) // out knows an error
}

func (s *screen) draw(b *bytes.Buffer) {
	width, height, err := term.GetSize(int(s.out.file.Fd()))
	if err != nil || width < 20 {
		width, height = 80, 24
	}
	line := func(format string, args ...any) {
		runes := []rune(scorecard.Printable(fmt.Sprintf(format, args...)))
		fmt.Fprintln(b, string(runes[:min(len(runes), width-1)]))
		s.drawn++
	}
	shown := s.running[:min(len(s.running), maxRunning, max(height-3, 0))]
	for _, run := range shown {
		waiting := ""
		if w := run.Waiting(); w.What != "" {
			waiting = "waits for " + w.What
		}
		line("  ...    %-18s %v  %6v  %s", run.Check.Name, run.Family, since(run.Began), waiting)
	}
	if all, running := len(s.all), len(s.running); all > s.ended {
		line("%d of %d checks have ended, %d are running, %d have not begun", s.ended, all, running, all-s.ended-running)
	}
}
