// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"fmt"
	"time"

	"forkrig/judge"
	"forkrig/rig"
)

// spins watches the listener while it cannot accept, and says so if it spins in
// three turns in a row. A turn lasts half a second, and on a busy machine as long
// as it takes to tell one that spins from one that waits for a processor.
func spins(c *judge.Case, s *judge.Instance, listeners rig.ProcessInfos) string {
	const turns, turn = 3, time.Second / 2
	worst := ""
	for range turns {
		began := time.Now()
		before := threads(c, listeners)
		lines := linesWritten(s)
		var use spinning
		var is finding
		err := rig.Await(c.Context(), "what the listener does with the processors", func() (bool, string, error) {
			took := time.Since(began)
			if !s.Listens() {
				is = rests
				return true, "", nil
			}
			if took < turn {
				return false, "", nil
			}
			use = since(before, threads(c, listeners), took)
			written := linesWritten(s)
			use.writes, lines = written != lines, written
			is = use.judge()
			return is != unclear, use.String(), nil
		})
		if errors.Is(err, rig.ErrNotObserved) {
			c.Broken("the machine is too busy to tell whether the listener spins: %v", err)
		}
		c.Must(err)
		if is == rests {
			return ""
		}
		worst = use.String()
	}
	return worst
}

// linesWritten is how many lines the server has written.
func linesWritten(s *judge.Instance) int { return s.Process.Stdout.Total() + s.Process.Stderr.Total() }

// threads returns what each thread of the processes had of the processors.
func threads(c *judge.Case, processes rig.ProcessInfos) map[int]rig.ThreadUse {
	all := map[int]rig.ThreadUse{}
	for _, info := range processes {
		threads, err := c.Host.Threads(info)
		if err != nil {
			continue // it has ended
		}
		for _, thread := range threads {
			all[thread.TID] = thread
		}
	}
	return all
}

// spinning is what threads did in a while.
type spinning struct {
	took    time.Duration
	threads []rig.ThreadUse
	writes  bool // a moment ago: then one that sleeps may wait for room in the pipe
}

func since(before, now map[int]rig.ThreadUse, took time.Duration) spinning {
	s := spinning{took: took}
	for tid, use := range now {
		was := before[tid]
		s.threads = append(s.threads, rig.ThreadUse{TID: tid, Running: use.Running - was.Running,
			Waiting: use.Waiting - was.Waiting, Sleeps: use.Sleeps - was.Sleeps, Wants: use.Wants})
	}
	return s
}

// wanted is for how long they ran, and for how long they ran or waited for a processor.
func (s spinning) wanted() (running, wanted time.Duration) {
	for _, t := range s.threads {
		running += t.Running
		wanted += t.Running + t.Waiting
	}
	return running, wanted
}

func (s spinning) String() string {
	_, wanted := s.wanted()
	return fmt.Sprintf("it wanted a processor for %v of %v", wanted.Round(time.Millisecond), s.took.Round(time.Millisecond))
}

// finding says whether threads spin.
type finding int

const (
	unclear finding = iota // nothing ran for long enough
	rests
	spinsOn
)

// judge tells a listener that spins from one that pauses between its attempts,
// however little a busy machine lets it run. One that runs for a good part of what
// it wants, which is half of the time and more, spins; so does a thread that has run
// for long without going to sleep, and one that has run for very long. What rests is
// seen asleep, and either wanted a processor for less than half of the time or
// merely had to wait for one, for a moment at a time.
func (s spinning) judge() finding {
	const (
		goodPart = 25 // of what it wants, one part in so many
		long     = 10 * time.Millisecond
		veryLong = 100 * time.Millisecond
		moment   = time.Millisecond
		enough   = 3 // sleeps
	)
	running, wanted := s.wanted()
	much := wanted >= s.took/2
	if running >= veryLong && running >= s.took/50 || much && running >= long && running >= wanted/goodPart {
		return spinsOn
	}
	asleep, clear := !s.writes, true
	for _, t := range s.threads {
		eachTime := t.Running / time.Duration(t.Sleeps+1)
		if t.Running >= long && eachTime >= moment {
			return spinsOn
		}
		if t.Running+t.Waiting >= s.took/2 && (t.Sleeps < enough || eachTime >= moment) {
			clear = false
		}
		asleep = asleep && !t.Wants
	}
	if asleep && (clear || !much) {
		return rests
	}
	return unclear
}
