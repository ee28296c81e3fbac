// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	// pretendEnv says what the suite that TestPretend is shall do.
	pretendEnv = "FORKRIG_FLAKE_PRETEND"
	// hunterEnv makes the test binary the program itself, with one suite of TestPretend.
	hunterEnv = "FORKRIG_FLAKE_HUNT"
)

func TestMain(m *testing.M) {
	if os.Args[0] == hogArg0 {
		hog()
	}
	if name := os.Getenv(hunterEnv); name != "" {
		mode, err := modeOf(name)
		if err == nil {
			_, err = pretendHunt(os.TempDir(), mode, 1000)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestPretend is the suite that the other tests let run.
func TestPretend(t *testing.T) {
	told := os.Getenv(pretendEnv)
	if told == "" {
		t.Skip("it is run by other tests")
	}
	t.Run("passes", func(*testing.T) {})
	t.Run("skips", func(t *testing.T) { t.Skip() })
	switch told {
	case "fail":
		t.Run("fails", func(t *testing.T) { t.Error("as it was told") })
	case "die":
		t.Run("dies", func(*testing.T) { os.Exit(3) })
	case "hang":
		fmt.Println("hanging")
		time.Sleep(time.Hour) // until it is killed
	case "cores":
		t.Run("counts", func(t *testing.T) { t.Error(runtime.NumCPU(), "processors") })
	}
	t.Run("passes beside", func(*testing.T) {})
}

// pretendHunt hunts in one mode with TestPretend as the suite.
func pretendHunt(dir string, mode Mode, runs int) (*hunt, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	os.Unsetenv(hunterEnv)
	start, err := newStarter()
	if err != nil {
		return nil, err
	}
	h := &hunt{runs: runs, limit: time.Hour, args: []string{"-test.run=^TestPretend$"}, dir: dir, start: start,
		binaries: map[bool]string{false: self, true: self}, place: ".", out: new(bytes.Buffer), report: newReport()}
	return h, h.hunt(context.Background(), mode, runs)
}

func TestHuntCounts(t *testing.T) {
	for told, want := range map[string]struct {
		runs, failures int // of each suite
		name           string
	}{
		"pass":  {2, 0, ""},
		"fail":  {3, 1, "TestPretend/fails"},
		"die":   {1, 1, "the suite: exit status 3"},
		"cores": {3, 1, "TestPretend/counts"},
	} {
		t.Run(told, func(t *testing.T) {
			t.Setenv(pretendEnv, told)
			for _, mode := range Modes {
				dir := t.TempDir()
				h, err := pretendHunt(dir, mode, 5)
				require.NoError(t, err)
				all := h.report.total()
				assert.Equal(t, mode.Together*max((5+want.runs-1)/want.runs/mode.Together, 1), all.suites, mode.Name)
				assert.Equal(t, want.runs*all.suites, all.runs, mode.Name)
				assert.Equal(t, want.failures*all.suites, all.failures, mode.Name)
				assert.Equal(t, all.suites, all.skipped, mode.Name)
				kept, err := filepath.Glob(filepath.Join(dir, "*"))
				require.NoError(t, err)
				assert.Len(t, kept, all.failures, "the output of failures alone is kept")
				if want.failures == 0 {
					continue
				}
				if told == "die" {
					assert.Contains(t, h.report.failures, "did not end with its suite: TestPretend/dies")
				}
				require.Contains(t, h.report.failures, want.name)
				text, err := os.ReadFile(filepath.Join(dir, mode.Name+"-1", "stdout.txt"))
				require.NoError(t, err)
				assert.Contains(t, string(text), "--- PASS: TestPretend/passes")
				if told == "cores" {
					text, err = os.ReadFile(h.report.failures[want.name].kept[0])
					require.NoError(t, err)
					cores := map[bool]int{true: 1, false: runtime.NumCPU()}[mode.OneCore]
					assert.Contains(t, string(text), fmt.Sprint(cores, " processors"), mode.Name)
				}
			}
		})
	}
}

// TestNothingOutlivesTheProgram kills it while a suite hangs beside hogs.
func TestNothingOutlivesTheProgram(t *testing.T) {
	for name, sent := range map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGTERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), hunterEnv+"=hogs", pretendEnv+"=hang", "TMPDIR="+t.TempDir())
			require.NoError(t, cmd.Start())
			wanted := Modes[1].Hogs*runtime.NumCPU() + 1
			var children []int
			require.Eventually(t, func() bool {
				children = childrenOf(t, cmd.Process.Pid)
				return len(children) == wanted
			}, time.Minute, 5*time.Millisecond)
			var handles []int
			for _, pid := range children {
				handle, err := unix.PidfdOpen(pid, 0)
				require.NoError(t, err)
				defer unix.Close(handle)
				handles = append(handles, handle)
			}
			require.NoError(t, cmd.Process.Signal(sent))
			_ = cmd.Wait() // it was killed
			for _, handle := range handles {
				n, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, 60_000)
				require.NoError(t, err)
				assert.Equal(t, 1, n, "a child lives on")
			}
		})
	}
}

func childrenOf(tb testing.TB, parent int) []int {
	tb.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(tb, err)
	var children []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var pid, ppid int
		var state string
		after := text[bytes.LastIndexByte(text, ')')+1:]
		if _, err := fmt.Sscan(string(after), &state, &ppid); err != nil || ppid != parent {
			continue
		}
		if _, err := fmt.Sscan(strings.TrimPrefix(file, "/proc/"), &pid); err == nil {
			children = append(children, pid)
		}
	}
	return children
}

// TestHungSuiteIsEnded: one that does not end at its limit is asked for its
// goroutines.
func TestHungSuiteIsEnded(t *testing.T) {
	start, err := newStarter()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.v", "-test.run=^TestPretend$")
	cmd.Env = append(os.Environ(), pretendEnv+"=hang")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, start.start(cmd, nil))
	for lines := bufio.NewScanner(stdout); lines.Scan() && lines.Text() != "hanging"; {
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = awaitEnd(t.Context(), cmd, ended, -afterLimit)
	assert.ErrorContains(t, err, "it hung")
	assert.Contains(t, stderr.String(), "SIGQUIT")
	assert.Contains(t, stderr.String(), "flake.TestPretend")
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"-runs", "0"}, {"x"}, {"-modes", "slow"}, {"-limit", "0"}, {"-unknown"}} {
		status, _ := run(t.Context(), args, new(bytes.Buffer))
		assert.Equal(t, 2, status, args)
	}
}

// TestStreamOfARealBinary compares with what package testing writes today.
func TestStreamOfARealBinary(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.v=test2json", "-test.run=^TestPretend$")
	cmd.Env = append(os.Environ(), pretendEnv+"=fail")
	output, err := cmd.Output()
	require.Error(t, err)
	runs := parsed(t, string(output))
	require.Len(t, runs, 4, "%s", output)
	assert.Equal(t, "PASS TestPretend/passes ", runs[0])
	assert.Equal(t, "SKIP TestPretend/skips ", runs[1])
	assert.Regexp(t, `(?s)^FAIL TestPretend/fails .*as it was told`, runs[2])
	assert.Regexp(t, "^PASS TestPretend/passes_beside", runs[3])
}
