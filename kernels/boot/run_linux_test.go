// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// monitorEnv makes the test binary the monitor of a guest that does as its value says.
const monitorEnv = "FORKRIG_TEST_MONITOR"

// FakeMonitor ends the process where it is such a monitor. TestMain calls it first.
func FakeMonitor() {
	if name := os.Getenv(monitorEnv); name != "" {
		monitors[name](os.NewFile(recordsFD, "records"))
		os.Exit(0)
	}
}

// fake is a driver whose guests are processes of this test binary.
type fake string

func (f fake) command(context.Context, string, Kernel, Guest) (*exec.Cmd, plan, error) {
	cmd := exec.Command(Self)
	cmd.Env = append(os.Environ(), monitorEnv+"="+string(f))
	cmd.ExtraFiles = []*os.File{nil}
	return cmd, plan{}, nil
}

// hang does nothing, without a goroutine that waits for another: the runtime would end the
// process.
func hang() {
	for {
		unix.Pause()
	}
}

func say(line *os.File, kind frameKind, value any) {
	data, err := json.Marshal(value)
	if err == nil {
		err = frame{kind, data}.writeTo(line)
	}
	if err != nil {
		os.Exit(9)
	}
}

// monitors say what guests say. Each but the first goes wrong after the first of two jobs.
var monitors = map[string]func(line *os.File){
	"ends well": func(line *os.File) {
		twoJobs(line)
		say(line, frameEnd, nil)
	},
	"panics": func(line *os.File) {
		oneJob(line)
		fmt.Println("Kernel panic - not syncing: Attempted to kill init!")
		os.Exit(1)
	},
	"hangs in a job": func(line *os.File) { oneJob(line); hang() },
	"hangs at first": func(*os.File) { fmt.Println("Linux version 6.1.176"); hang() },
	"stays": func(line *os.File) {
		twoJobs(line)
		say(line, frameEnd, nil)
		hang()
	},
	"floods": func(line *os.File) {
		oneJob(line)
		for {
			if (frame{frameOutput, make([]byte, 1000)}).writeTo(line) != nil {
				os.Exit(9)
			}
		}
	},
	"damages a record": func(line *os.File) {
		oneJob(line)
		line.WriteString(frameMark + "oxxxxxxxx")
		hang()
	},
	"boots twice":    func(line *os.File) { oneJob(line); say(line, frameReady, ready{}); hang() },
	"ends too early": func(line *os.File) { oneJob(line); say(line, frameEnd, nil); hang() },
	"has children": func(line *os.File) {
		cmd := exec.Command(Self)
		cmd.Env = append(os.Environ(), monitorEnv+"=hangs at first")
		cmd.ExtraFiles = []*os.File{line}
		if cmd.Start() != nil {
			os.Exit(9)
		}
		fmt.Println("child", cmd.Process.Pid)
		oneJob(line)
		os.Exit(2)
	},
}

// oneJob is ready, does the first job and begins the second.
func oneJob(line *os.File) {
	fmt.Println("Linux version 6.1.176")
	say(line, frameReady, ready{Release: "6.1.176"})
	say(line, frameStart, 0)
	frame{frameOutput, []byte("text of the first job\n")}.writeTo(line)
	say(line, frameResult, Result{Status: 3, Wall: time.Second})
	say(line, frameStart, 1)
}

func twoJobs(line *os.File) {
	oneJob(line)
	frame{frameOutput, []byte("text ")}.writeTo(line)
	frame{frameOutput, []byte("of the second")}.writeTo(line)
	say(line, frameResult, Result{Dropped: 7})
}

// twoJobsGuest bounds what the guests here do by far more than it takes them.
func twoJobsGuest() Guest {
	return Guest{BootLimit: time.Minute, Jobs: []Job{{Name: "first", Argv: []string{"x"}}, {Name: "second", Argv: []string{"x"}}}}
}

func TestRun(t *testing.T) {
	var heard []string
	hear := func(format string, args ...any) { heard = append(heard, fmt.Sprintf(format, args...)) }
	r, err := Run(t.Context(), fake("ends well"), Kernel{Name: "6.1.176"}, twoJobsGuest(), Watch{
		Ready:  func(release string) { hear("ready %s", release) },
		Start:  func(job string) { hear("start %s", job) },
		Output: func(job string, text []byte) { hear("%s: %s", job, text) },
		Done:   func(r Result) { hear("done %s %d", r.Name, r.Status) },
	})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"ready 6.1.176", "start first", "first: text of the first job\n", "done first 3",
		"start second", "second: text ", "second: of the second", "done second 0",
	}, heard)
	assert.Equal(t, []Result{
		{Name: "first", Status: 3, Wall: time.Second, Output: []byte("text of the first job\n")},
		{Name: "second", Output: []byte("text of the second"), Dropped: 7},
	}, r.Results)
	assert.Equal(t, []string{"Linux version 6.1.176"}, r.Console)
	assert.Positive(t, r.Boot)
	assert.GreaterOrEqual(t, r.Wall, r.Boot)
}

// TestDeaths has guests that go wrong: the first job's result is known, the second is named.
func TestDeaths(t *testing.T) {
	for monitor, why := range map[string]string{
		"panics":           "it ended: exit status 1: Kernel panic - not syncing: Attempted to kill init!",
		"floods":           "it sent more than the 4259840 bytes that its job may print",
		"damages a record": errFrame.Error(),
		"boots twice":      "its records make no sense: it has booted twice",
		"ends too early":   "its records make no sense: it ends before its jobs are done",
		"has children":     "it ended: exit status 2",
	} {
		t.Run(monitor, func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), fake(monitor), Kernel{Name: "6.1.176"}, twoJobsGuest(), Watch{})
			var died *DiedError
			require.ErrorAs(t, err, &died)
			assert.Equal(t, "second", died.Job)
			assert.Contains(t, died.Why, why)
			assert.Contains(t, died.Console, "Linux version 6.1.176")
			require.Len(t, r.Results, 1)
			assert.Equal(t, "text of the first job\n", string(r.Results[0].Output))
			assert.Equal(t, "6.1.176", r.Release)
		})
	}
}

// TestLimits has guests that stand still, with limits that are over at once.
func TestLimits(t *testing.T) {
	g := twoJobsGuest()
	g.BootLimit = time.Nanosecond
	_, err := Run(t.Context(), fake("hangs at first"), Kernel{Name: "6.1.176"}, g, Watch{})
	require.ErrorContains(t, err, "kernel 6.1.176 died: it was not up after 1ns: nothing more is known of it")

	g, err = twoJobsGuest().withDefaults()
	require.NoError(t, err)
	s := session{guest: g, job: 1, up: true}
	limit, says := s.limit()
	assert.Greater(t, limit, DefaultLimit+quitGrace+drainLimit)
	assert.Contains(t, says, "it did not end the job")
	s.job = -1
	_, says = s.limit()
	assert.Contains(t, says, "it began no job for ")
	s.ended = true
	_, says = s.limit()
	assert.Contains(t, says, "it was still there ")
}

// TestCancel leaves no process, no file and no directory.
func TestCancel(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Run(ctx, fake("hangs in a job"), Kernel{Name: "6.1.176"}, twoJobsGuest(), Watch{Start: func(job string) {
		if job == "second" {
			cancel()
		}
	}})
	require.EqualError(t, err, "kernel 6.1.176: context canceled")
	assert.Len(t, r.Results, 1)
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)

	cancel()
	_, err = Run(ctx, fake("hangs at first"), Kernel{Name: "6.1.176"}, twoJobsGuest(), Watch{})
	require.ErrorIs(t, err, context.Canceled)
}

// TestChildrenOfTheMonitor are ended with it.
func TestChildrenOfTheMonitor(t *testing.T) {
	r, err := Run(t.Context(), fake("has children"), Kernel{Name: "6.1.176"}, twoJobsGuest(), Watch{})
	require.Error(t, err)
	var pid int
	_, err = fmt.Sscanf(r.Console[0], "child %d", &pid)
	require.NoError(t, err)
	awaitGone(t, pid)
}

// awaitGone waits until a process has ended.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	require.NoError(t, err)
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
	require.NoError(t, err)
	assert.Equal(t, 1, n, "process %d is still there", pid)
}

func TestGuestsThatMakeNoSense(t *testing.T) {
	for _, g := range []Guest{{}, {Jobs: []Job{{Name: "x"}}}, {Jobs: []Job{{Argv: []string{"x"}}}}} {
		_, err := Run(t.Context(), fake("ends well"), Kernel{Name: "6.1.176"}, g, Watch{})
		assert.Error(t, err)
	}
	_, err := Run(t.Context(), QEMU{Program: "/absent"}, Kernel{Name: "6.1.176", Image: "/absent"}, twoJobsGuest(), Watch{})
	require.ErrorIs(t, err, os.ErrNotExist)
}
