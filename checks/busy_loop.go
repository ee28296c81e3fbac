// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"forkrig/judge"
	"forkrig/rig"
)

// fewLines is how many lines a second a busy loop that logs exceeds.
const fewLines = 100

// busyLoop watches the listener while it cannot accept, and returns what it saw if the
// listener is in a busy loop in three turns in a row, otherwise "". A turn lasts half a
// second, and on a busy machine until a busy loop can be told from a wait for a processor.
func busyLoop(c *judge.Case, s *judge.Instance, listeners rig.ProcessInfos) string {
	const turns = 3
	written := linesWritten(s)
	if c.RestsWithin(rig.Scaled(time.Second)) && linesWritten(s)-written < fewLines {
		return ""
	}
	worst := ""
	for range turns {
		watch := watchThreads(threads(c, listeners), linesWritten(s), time.Now())
		state := unclear
		err := rig.Await(c.Context(), "the use of processors by the listener", func() (bool, string, error) {
			if !c.Listens() {
				state = idle
				return true, "", nil
			}
			now := threads(c, listeners)
			watch.look(now, time.Now(), linesWritten(s), func() bool { return maps.Equal(now, threads(c, listeners)) })
			state = watch.judge()
			return state != unclear, watch.use.String(), nil
		})
		if errors.Is(err, rig.ErrNotObserved) {
			c.Broken("the machine is too busy to tell whether the listener is in a busy loop: %v", err)
		}
		c.Must(err)
		if state == idle {
			return ""
		}
		worst = watch.use.String()
	}
	return worst
}

// threadsWatch is several looks at threads.
type threadsWatch struct {
	slow      bool // the machine
	began     time.Time
	first     map[int]rig.ThreadUse
	lines     int // written before it began
	use       threadsUse
	last      map[int]rig.ThreadUse // at the last look
	lastAt    time.Time
	lastLines int
}

func watchThreads(first map[int]rig.ThreadUse, lines int, now time.Time) *threadsWatch {
	return &threadsWatch{slow: rig.Scaled(time.Second) > 2*time.Second, began: now, first: first, lines: lines, last: first, lastAt: now, lastLines: lines}
}

// between is how much time there is between two looks at least, so that the kernel's counts, which
// lag by a tick for a thread that runs, say what was.
const between = 10 * time.Millisecond

// look takes in what the threads had of the processors until now. stays says, with a second look, whether none has
// run since.
func (w *threadsWatch) look(threads map[int]rig.ThreadUse, now time.Time, lines int, stays func() bool) {
	after := now.Sub(w.lastAt)
	if after < between {
		return
	}
	recently := since(w.last, threads, after)
	_, runnable := recently.runnable()
	still := !recently.wants() && stays()
	use := since(w.first, threads, now.Sub(w.began))
	use.slow, use.lines, use.writes = w.slow, lines-w.lines, lines != w.lastLines
	use.looks, use.asleep, use.awake = w.use.looks+1, w.use.asleep, w.use.awake+1
	if still {
		use.awake = 0
	}
	// A busy loop goes on in one thread or another all the time. Where none is awake now, and together they were
	// runnable for only a part of the time since the last look, all have slept, even if a look takes longer than a pause.
	if still || !recently.wants() && !use.writes && runnable < after*3/4 {
		use.asleep++
	}
	w.use, w.last, w.lastAt, w.lastLines = use, threads, now, lines
}

// judge says what is known after half a second and ten looks.
func (w *threadsWatch) judge() finding {
	if w.use.took < time.Second/2 || w.use.looks < 10 {
		return unclear
	}
	return w.use.judge()
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

// threadsUse is what threads had of the processors in a time.
type threadsUse struct {
	slow    bool // the machine is
	took    time.Duration
	threads []rig.ThreadUse
	writes  bool // a moment ago: then one that sleeps may wait for room in the pipe
	lines   int  // written in that time
	// awake is at how many looks in a row not all slept from one look to the next: a loop that goes
	// from thread to thread may be in none of them at one.
	awake int
	// asleep is at how many of all looks they slept, or had slept since the look before.
	asleep, looks int
}

// wants says whether a thread goes on by itself now, see [rig.ThreadUse].
func (s threadsUse) wants() bool {
	return slices.ContainsFunc(s.threads, func(t rig.ThreadUse) bool { return t.Wants })
}

func since(before, now map[int]rig.ThreadUse, took time.Duration) threadsUse {
	s := threadsUse{took: took}
	for tid, use := range now {
		was := before[tid]
		s.threads = append(s.threads, rig.ThreadUse{TID: tid, Running: use.Running - was.Running,
			Waiting: min(use.Waiting-was.Waiting, took), // the kernel adds a wait at its end, that before the first look, too
			Sleeps:  use.Sleeps - was.Sleeps, Wants: use.Wants})
	}
	return s
}

// runnable is for how long they ran, and for how long they ran or waited for a processor.
func (s threadsUse) runnable() (running, runnable time.Duration) {
	for _, t := range s.threads {
		running += t.Running
		runnable += t.Running + t.Waiting
	}
	return running, runnable
}

func (s threadsUse) String() string {
	_, runnable := s.runnable()
	active := 0
	for _, t := range s.threads {
		if t.Running > 0 {
			active++
		}
	}
	if active > 1 {
		return fmt.Sprintf("its %d threads were together runnable for %v of %v", active, runnable.Round(time.Millisecond), s.took.Round(time.Millisecond))
	}
	return fmt.Sprintf("it was runnable for %v of %v", min(runnable, s.took).Round(time.Millisecond), s.took.Round(time.Millisecond))
}

// finding says whether threads are in a busy loop.
type finding int

const (
	unclear finding = iota // nothing ran for long enough
	idle
	looping
)

const (
	longRun   = 10 * time.Millisecond
	pause     = time.Millisecond
	minSleeps = 3
)

// judge tells a busy loop from pauses between attempts, however little a busy machine lets the threads run.
// Times say too much on an emulated machine: while all of it stands still, the kernel counts the time for
// the thread that ran. So times alone are no busy loop on a slow machine if the threads were asleep at a tenth of the looks.
func (s threadsUse) judge() finding {
	const (
		manyLines  = 4000 // a second; asyncio, which pauses for a second after 100 attempts, writes 1800
		partAsleep = 10   // one look in so many
	)
	switch {
	case float64(s.lines) >= manyLines*s.took.Seconds():
		return looping // it sleeps only because the log is not read as fast as it is written
	case s.spins() && !(s.slow && s.asleep > 0 && s.asleep*partAsleep >= s.looks):
		return looping
	case s.pauses():
		return idle
	}
	return unclear
}

// spins says whether times are those of a busy loop: the threads were runnable for three quarters of the
// time, ran for a good part of that, and did not all sleep again soon each time, or never slept all at once;
// or one thread alone was runnable and ran for long without going to sleep; or they ran for a third of the
// time. A server that works in short bursts and pauses between them, as Python's asyncio does, is runnable
// for a small part only.
func (s threadsUse) spins() bool {
	const (
		runShare    = 25 // of the time in which they were runnable, one part in so many
		veryLongRun = 100 * time.Millisecond
		manyLooks   = 100
	)
	running, runnable := s.runnable()
	naps := !slices.ContainsFunc(s.threads, func(t rig.ThreadUse) bool {
		return (t.Running+t.Waiting > 0 || t.Wants) && (t.Sleeps < minSleeps || t.Running/time.Duration(t.Sleeps) >= pause)
	})
	if running >= veryLongRun && running >= s.took/3 {
		return true
	}
	if runnable >= s.took*3/4 && (!naps || s.awake >= manyLooks) && running >= longRun && running >= runnable/runShare {
		return true
	}
	return slices.ContainsFunc(s.threads, func(t rig.ThreadUse) bool {
		return t.Running >= longRun && eachTime(t) >= pause && t.Running+t.Waiting >= s.took*3/4
	})
}

// pauses says whether all are asleep now, and either were runnable for less than half of the time or each sleeps
// again soon whenever it runs. Where a machine is so busy that this stays unclear, because they pause for a
// shorter time than two looks are apart and are late whenever they run, they pause if they slept at several
// looks and wrote little.
func (s threadsUse) pauses() bool {
	const (
		unclearFor  = 10 * time.Second
		asleepLooks = 10
	)
	late := slices.ContainsFunc(s.threads, func(t rig.ThreadUse) bool {
		return t.Running+t.Waiting >= s.took/2 && (t.Sleeps < minSleeps || eachTime(t) >= pause)
	})
	_, runnable := s.runnable()
	if s.awake == 0 && !s.writes && (!late || runnable < s.took/2) {
		return true
	}
	return s.took >= unclearFor && s.asleep >= asleepLooks && float64(s.lines) < fewLines*s.took.Seconds()
}

// eachTime is how long a thread ran until it slept.
func eachTime(t rig.ThreadUse) time.Duration { return t.Running / time.Duration(t.Sleeps+1) }
