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

// minLooks is how many looks tell how often threads sleep.
const minLooks = 10

// fewLines is how many lines a second a busy loop that logs exceeds.
const fewLines = 100

// busyLoop watches the listener while it cannot accept, and returns what it saw if the
// listener is in a busy loop in three turns in a row, otherwise "". A turn lasts half a
// second, and on a busy machine until a busy loop can be told from a wait for a processor.
func busyLoop(c *judge.Case, s *judge.Instance, listeners rig.ProcessInfos) string {
	const turns, turn = 3, time.Second / 2
	written := linesWritten(s)
	if c.RestsWithin(rig.Scaled(time.Second)) && linesWritten(s)-written < fewLines {
		return ""
	}
	worst := ""
	for range turns {
		began := time.Now()
		before := threads(c, listeners)
		lines := linesWritten(s)
		atFirst := lines
		var use threadsUse
		var state finding
		awake, asleep, looks := 0, 0, 0
		err := rig.Await(c.Context(), "the use of processors by the listener", func() (bool, string, error) {
			if !c.Listens() {
				state = idle
				return true, "", nil
			}
			now := threads(c, listeners)
			use = since(before, now, time.Since(began))
			looks++
			if maps.Equal(now, threads(c, listeners)) && !use.wants() {
				awake = 0
				asleep++
			} else {
				awake++
			}
			if use.took < turn || looks < minLooks {
				return false, use.String(), nil
			}
			use.awake, use.asleep, use.looks = awake, asleep, looks
			written := linesWritten(s)
			use.writes, use.lines, lines = written != lines, written-atFirst, written
			state = use.judge()
			return state != unclear, use.String(), nil
		})
		if errors.Is(err, rig.ErrNotObserved) {
			c.Broken("the machine is too busy to tell whether the listener is in a busy loop: %v", err)
		}
		c.Must(err)
		if state == idle {
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

// threadsUse is what threads had of the processors in a time.
type threadsUse struct {
	took    time.Duration
	threads []rig.ThreadUse
	writes  bool // a moment ago: then one that sleeps may wait for room in the pipe
	lines   int  // written in that time
	// awake is at how many looks in a row not all slept from one look to the next: a loop that goes
	// from thread to thread may be in none of them at one.
	awake int
	// asleep is at how many of all looks they slept from one to the next.
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

// judge tells a busy loop from pauses between attempts, however little a busy machine lets
// the threads run. How long they ran says little on a machine that is itself a guest and gets no processor:
// it counts for the thread that it was running then. So they are in no busy loop if they were asleep at
// a part of the looks.
func (s threadsUse) judge() finding {
	const (
		manyLines  = 4000 // a second; asyncio, which pauses for a second after 100 attempts, writes 1800
		partAsleep = 10   // one look in so many
	)
	switch {
	case float64(s.lines) >= manyLines*s.took.Seconds():
		return looping // it sleeps only because the log is not read as fast as it is written
	case s.spins() && (s.asleep == 0 || s.asleep*partAsleep < s.looks):
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
