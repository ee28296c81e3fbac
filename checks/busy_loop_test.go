// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

func TestBusyLoop(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		took    time.Duration
		threads []rig.ThreadUse
		awake   int
		want    finding
	}{
		"nothing runs":                         {500 * ms, []rig.ThreadUse{{}}, 0, idle},
		"it pauses":                            {500 * ms, []rig.ThreadUse{{Running: ms, Waiting: ms, Sleeps: 10}}, 0, idle},
		"it works in bursts":                   {512 * ms, []rig.ThreadUse{{Running: 78 * ms, Sleeps: 30}}, 0, idle},
		"it works in bursts on a slow machine": {512 * ms, []rig.ThreadUse{{Running: 140 * ms, Waiting: 30 * ms, Sleeps: 20}}, 0, idle},
		"it spins":                             {500 * ms, []rig.ThreadUse{{Running: 480 * ms, Waiting: 20 * ms}}, 0, looping},
		"it spins and logs":                    {500 * ms, []rig.ThreadUse{{Running: 300 * ms, Sleeps: 900}}, 0, looping},
		"it spins on a busy machine":           {500 * ms, []rig.ThreadUse{{Running: 12 * ms, Waiting: 488 * ms}}, 0, looping},
		"it spins, and nothing runs":           {500 * ms, []rig.ThreadUse{{Running: 3 * ms, Waiting: 497 * ms}}, 100, unclear},
		"it never ran, and the kernel has not added its wait": {500 * ms, []rig.ThreadUse{{Wants: true}}, 1, unclear},
		"it never ran":                                   {500 * ms, []rig.ThreadUse{{Waiting: 500 * ms}}, 9, unclear},
		"it pauses on a busy machine":                    {500 * ms, []rig.ThreadUse{{Running: ms, Waiting: 400 * ms, Sleeps: 3}}, 0, idle},
		"a thread that pauses waits for a processor now": {512 * ms, []rig.ThreadUse{{Running: 8 * ms, Waiting: 400 * ms, Sleeps: 30, Wants: true}}, 1, unclear},
		"its loop goes from thread to thread": {900 * ms, []rig.ThreadUse{
			{Running: 40 * ms, Waiting: 500 * ms, Sleeps: 80, Wants: true}, {Running: 30 * ms, Waiting: 300 * ms, Sleeps: 60}}, 100, looping},
		"threads that pause wait for one processor": {2056 * ms, []rig.ThreadUse{
			{Running: 40 * ms, Waiting: 700 * ms, Sleeps: 120}, {Running: 25 * ms, Waiting: 500 * ms, Sleeps: 90}, {Running: 10 * ms, Waiting: 400 * ms, Sleeps: 60}}, 0, idle},
		"a runtime's thread sleeps beside one that spins": {2000 * ms, []rig.ThreadUse{
			{Running: 15 * ms, Waiting: 1985 * ms}, {Running: 2 * ms, Waiting: 1500 * ms, Sleeps: 40}}, 0, looping},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, threadsUse{took: test.took, threads: test.threads, awake: test.awake}.judge())
		})
	}
}

// TestBusyLoopSeldomSeen: a server that pauses for 100 ms and logs each attempt, on a machine where looks are
// seconds apart, and a thread that wakes waits long for a processor.
func TestBusyLoopSeldomSeen(t *testing.T) {
	use := threadsUse{took: 20 * time.Second, lines: 100, writes: true, awake: 3, asleep: 10, threads: []rig.ThreadUse{
		{Running: 300 * time.Millisecond, Waiting: 7 * time.Second, Sleeps: 110}, {Running: 50 * time.Millisecond, Waiting: 4 * time.Second, Sleeps: 1}}}
	assert.Equal(t, idle, use.judge())
	for what, change := range map[string]func(*threadsUse){
		"it hardly ever slept":       func(s *threadsUse) { s.asleep = 9 },
		"its log may have no reader": func(s *threadsUse) { s.lines = 2000 },
		"other looks come soon": func(s *threadsUse) {
			s.took, s.threads = 9*time.Second, []rig.ThreadUse{{Running: 300 * time.Millisecond, Waiting: 5 * time.Second, Sleeps: 110}}
		},
	} {
		other := use
		change(&other)
		assert.Equal(t, unclear, other.judge(), what)
	}
}

// TestBusyLoopOfAGuest: times that a starved guest counts are as those of a busy loop, and the threads were
// asleep at a part of the looks.
func TestBusyLoopOfAGuest(t *testing.T) {
	const ms = time.Millisecond
	for _, threads := range [][]rig.ThreadUse{
		{{Running: 300 * ms, Waiting: 100 * ms, Sleeps: 20}, {Running: 150 * ms, Waiting: 357 * ms, Sleeps: 15}},
		{{Running: 450 * ms, Sleeps: 9}},
		{{Running: 15 * ms, Waiting: 485 * ms, Sleeps: 2}},
	} {
		use := threadsUse{slow: true, took: 535 * ms, looks: 20, asleep: 2, awake: 1, threads: threads}
		assert.Equal(t, unclear, use.judge())
		use.asleep = 1
		assert.Equal(t, looping, use.judge())
		use.asleep, use.looks = 1, 4
		assert.Equal(t, unclear, use.judge())
		use.slow = false
		assert.Equal(t, looping, use.judge(), "elsewhere times are right")
	}
}

// TestLooksAtThreads counts those at which threads slept: all are asleep and none runs until a second look, or
// they were not runnable for all of the time since the last look.
func TestLooksAtThreads(t *testing.T) {
	const ms = time.Millisecond
	now := time.Now()
	had := rig.ThreadUse{}
	watch := watchThreads(map[int]rig.ThreadUse{1: had}, 0, now)
	lines := 0
	look := func(after time.Duration, ran, waited time.Duration, wants, stays bool) threadsUse {
		now = now.Add(after)
		had.Running, had.Waiting, had.Wants = had.Running+ran, had.Waiting+waited, wants
		watch.look(map[int]rig.ThreadUse{1: had}, now, lines, func() bool { return stays })
		return watch.use
	}
	assert.Zero(t, look(9*ms, 0, 0, false, true).looks, "too soon")
	for _, c := range []struct {
		ran, waited   time.Duration
		wants, stays  bool
		lines         int
		asleep, awake int
	}{
		{0, 0, false, true, 0, 1, 0},
		{20 * ms, 0, true, false, 0, 1, 1},       // it runs
		{0, 0, true, true, 0, 1, 2},              // it waits for a processor
		{5 * ms, 9 * ms, false, false, 0, 2, 3},  // it slept for a part of the time
		{10 * ms, 6 * ms, false, false, 0, 2, 4}, // this may be a loop that goes from thread to thread
		{5 * ms, 5 * ms, false, false, 1, 2, 5},  // it may have waited for the reader of its log
		{20 * ms, 0, false, true, 0, 3, 0},       // it sleeps now
		{0, 40 * ms, false, false, 0, 3, 1},      // it waited since long before
		{4 * ms, 0, false, false, 0, 4, 2},       // and again
	} {
		lines += c.lines
		use := look(20*ms, c.ran, c.waited, c.wants, c.stays)
		assert.Equal(t, []int{c.asleep, c.awake}, []int{use.asleep, use.awake}, "%+v", c)
		assert.Equal(t, c.lines > 0, use.writes)
	}
	assert.Equal(t, 9, watch.use.looks)
	assert.Equal(t, unclear, watch.judge(), "after nine looks")
	look(500*ms, 0, 0, false, true)
	assert.Equal(t, idle, watch.judge())
}

// TestBusyLoopByItsLog tells a loop that waits for the reader of its log from one that pauses.
func TestBusyLoopByItsLog(t *testing.T) {
	use := threadsUse{took: 500 * time.Millisecond, lines: 5000,
		threads: []rig.ThreadUse{{Running: 20 * time.Millisecond, Waiting: 100 * time.Millisecond, Sleeps: 300}}}
	assert.Equal(t, looping, use.judge())
	use.lines = 900
	assert.Equal(t, idle, use.judge())
}
