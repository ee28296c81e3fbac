// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// clocks are what a process says about its clocks, in seconds, and its user.
type clocks struct{ monotonic, boottime, realtime, user int64 }

// clocksOf reads what the clock program and its child say.
func clocksOf(tb testing.TB, p *rig.Process) (itself, child clocks) {
	tb.Helper()
	_, err := p.Stdout.AwaitLine(tb.Context(), "ready", func(line string) bool { return line == "ready" })
	require.NoError(tb, err)
	read := func(line string) (c clocks) {
		_, err := fmt.Sscanf(line, "clocks %d %d %d %d", &c.monotonic, &c.boottime, &c.realtime, &c.user)
		require.NoError(tb, err, line)
		return c
	}
	return read(p.Stdout.Lines()[0]), read(p.Stdout.Lines()[1])
}

func now() (c clocks) {
	_, _ = fmt.Sscan(showClocks(), &c.monotonic, &c.boottime, &c.realtime)
	return c
}

// between checks that the clocks are those of the machine, set off by some hours.
// How long anything took does not matter.
func (c clocks) between(tb testing.TB, before, after clocks, hours int64) {
	tb.Helper()
	for name, is := range map[string][3]int64{
		"CLOCK_MONOTONIC": {before.monotonic + hours*3600, c.monotonic, after.monotonic + hours*3600},
		"CLOCK_BOOTTIME":  {before.boottime + hours*3600, c.boottime, after.boottime + hours*3600},
		"CLOCK_REALTIME":  {before.realtime, c.realtime, after.realtime},
	} {
		assert.True(tb, is[0] <= is[1] && is[1] <= is[2], "%s: %d should be from %d to %d", name, is[1], is[0], is[2])
	}
}

// TestClockJump sees the clocks of a process and its child jump ahead and back,
// and the time of day stay.
func TestClockJump(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := lab.NewHost("h").MustStart(rig.Program("clock"))
	before := now()
	itself, child := clocksOf(t, p)
	itself.between(t, clocks{}, now(), 0)
	child.between(t, clocks{}, now(), 0)

	const hours = 1000
	apply(t, lab, fault.ClockJump{Process: p, By: hours * time.Hour})
	latest := p.Latest()
	require.NotSame(t, p, latest)
	itself, child = clocksOf(t, latest)
	itself.between(t, before, now(), hours)
	child.between(t, before, now(), hours)
	info, err := latest.Info()
	require.NoError(t, err)
	assert.Equal(t, "clock", info.Name, "the process is the command's own")
	assert.Less(t, info.Age, time.Hour, "the rig's own clocks have not changed")

	apply(t, lab, fault.ClockJump{Process: p, By: -hours * time.Hour})
	itself, child = clocksOf(t, p.Latest())
	itself.between(t, before, now(), 0)
	child.between(t, before, now(), 0)
}

// TestClockOfAnotherUser: the namespace is made as the rig, the command runs as
// the user.
func TestClockOfAnotherUser(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	c := rig.Program("clock")
	c.User, c.ClockOffset = "65534", time.Hour+time.Millisecond
	before := now()
	itself, _ := clocksOf(t, lab.NewHost("h").MustStart(c))
	itself.between(t, before, clocks{monotonic: 1 << 40, boottime: 1 << 40, realtime: 1 << 40}, 1)
	assert.EqualValues(t, 65534, itself.user)
}

// TestClockErrors: whatever keeps the command from being executed is Start's error.
func TestClockErrors(t *testing.T) {
	t.Parallel()
	host := rig.New(t).NewHost("h")
	for want, c := range map[string]rig.Command{
		"the clock shows":        {Args: []string{"/bin/true"}, ClockOffset: -100000 * time.Hour},
		"can be set from 0":      {Args: []string{"/bin/true"}, ClockOffset: 1<<63 - 1},
		"install the program":    {Args: []string{"/nowhere"}, ClockOffset: time.Hour},
		"the file is not a prog": {Args: []string{noProgram(t)}, ClockOffset: time.Hour},
	} {
		_, err := host.Start(c)
		var missing *rig.MissingError
		if errors.As(err, &missing) {
			rig.SkipIfMissing(t, err)
		}
		assert.ErrorContains(t, err, want)
	}
	// One that ends at once is no error.
	short := rig.Exec("/proc/self/exe", "-test.list", "^$")
	short.ClockOffset = time.Hour
	p := host.MustStart(short)
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.True(t, exit.Success(), exit.String())
}

func noProgram(tb testing.TB) string {
	tb.Helper()
	name := tb.TempDir() + "/file"
	require.NoError(tb, os.WriteFile(name, []byte("text\n"), 0o700))
	return name
}

// TestBusyUsesEveryProcessor: each hog has a processor of its own and uses its
// time, until it is healed.
func TestBusyUsesEveryProcessor(t *testing.T) {
	lab := rig.New(t)
	hogs, err := lab.StartHogs(t.Context(), 0)
	require.NoError(t, err)
	first, err := hogs.Processes()
	require.NoError(t, err)
	var all unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	require.Len(t, first, all.Count())
	taken := map[unix.CPUSet]bool{}
	for _, hog := range first {
		var set unix.CPUSet
		require.NoError(t, unix.SchedGetaffinity(hog.PID, &set))
		assert.Equal(t, 1, set.Count())
		taken[set] = true
	}
	assert.Len(t, taken, all.Count(), "each has its own processor")
	require.NoError(t, rig.Await(t.Context(), "processor time of each hog", func() (bool, string, error) {
		now, err := hogs.Processes()
		for i, hog := range now {
			if hog.CPUTime < first[i].CPUTime+50*time.Millisecond || hog.State != rig.RunningState {
				return false, now.String(), err
			}
		}
		return err == nil, "", err
	}))
	require.NoError(t, hogs.Stop())
	for _, hog := range first {
		assert.ErrorIs(t, unix.Kill(hog.PID, 0), unix.ESRCH, "a hog that was stopped")
	}
}

// TestBusyHeals: when it is told to, and by itself.
func TestBusyHeals(t *testing.T) {
	hogs := func() (n int) {
		all, err := procfs.AllProcs()
		require.NoError(t, err)
		for _, p := range all {
			if name, err := p.Comm(); err == nil && strings.HasPrefix(name, "rig:hog") {
				n++
			}
		}
		return n
	}
	trial := rig.Try(t, func(tb testing.TB) {
		lab := rig.New(tb)
		busy := apply(tb, lab, fault.Busy{Hogs: 2})
		assert.Equal(tb, 2, hogs())
		require.NoError(tb, busy.Heal(tb.Context()))
		assert.Zero(tb, hogs())
		apply(tb, lab, fault.Busy{Hogs: 3})
		assert.Equal(tb, 3, hogs())
	})
	assert.False(t, trial.Failed, trial.Log)
	assert.Zero(t, hogs())
}
