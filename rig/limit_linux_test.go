// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/rlimit"
)

// withholding prints what comes of prlimit(2) on the process in its first argument,
// of rlimit.SetSoft, and of raising a hard limit of its own that it has lowered before,
// without the capabilities in its second argument.
func withholding(args []string) int {
	pid, err := strconv.Atoi(args[1])
	if err == nil && args[2] != "" {
		err = executeWithout(args[2], args)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	answer := func(what string, err error) {
		switch {
		case err == nil:
			fmt.Println(what, "allowed")
		case errors.Is(err, os.ErrPermission):
			fmt.Println(what, "forbidden")
		default:
			fmt.Println(what, err)
		}
	}
	var limit unix.Rlimit
	answer("prlimit", unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
	_, err = rlimit.SetSoft(pid, rlimit.OpenFiles, 7)
	answer("lower", err)
	_, err = rlimit.SetSoft(pid, rlimit.OpenFiles, 9)
	answer("raise", err)
	own := unix.Rlimit{Cur: 50, Max: 60}
	err = unix.Prlimit(0, unix.RLIMIT_NOFILE, &own, nil)
	answer("lower hard", err)
	own.Max++
	answer("raise hard", unix.Prlimit(0, unix.RLIMIT_NOFILE, &own, nil))
	fmt.Println("done")
	return 0
}

var capabilityNumbers = map[string]uintptr{
	"setgid": unix.CAP_SETGID, "setuid": unix.CAP_SETUID, "sys_resource": unix.CAP_SYS_RESOURCE,
}

// executeWithout takes the capabilities out of the bounding set of the calling thread
// and executes the program again, which then has none of them (capabilities(7)).
func executeWithout(capabilities string, args []string) error {
	runtime.LockOSThread()
	for name := range strings.FieldsSeq(capabilities) {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capabilityNumbers[name], 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl", err)
		}
	}
	return syscall.Exec("/proc/self/exe", []string{args[0], args[1], ""}, os.Environ())
}

// TestPrivilegesOfLimits: what the doc of SetLimit says about privileges.
func TestPrivilegesOfLimits(t *testing.T) {
	t.Parallel()
	const other = "65534"
	for name, c := range map[string]struct {
		target, limiter, without string
		wants                    []string
	}{
		"same IDs": {without: "sys_resource setuid setgid",
			wants: []string{"prlimit allowed", "lower allowed", "raise allowed", "lower hard allowed", "raise hard forbidden"}},
		"same IDs of another user": {target: other, limiter: other,
			wants: []string{"prlimit allowed", "lower allowed", "raise allowed", "lower hard allowed", "raise hard forbidden"}},
		"other IDs, a thread that takes them": {target: other, without: "sys_resource",
			wants: []string{"prlimit forbidden", "lower allowed", "raise allowed"}},
		"other IDs, no capability": {target: other, without: "sys_resource setuid setgid",
			wants: []string{"prlimit forbidden", "lower forbidden", "raise forbidden"}},
		"IDs that belong to the machine's administrator": {limiter: other,
			wants: []string{"prlimit forbidden", "lower forbidden", "raise forbidden"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := New(t).NewHost("h")
			command := Program("opening")
			command.Stdin, command.User = true, c.target
			target := host.MustStart(command)
			info, err := target.Info()
			require.NoError(t, err)
			pid, err := host.PIDOf(info)
			require.NoError(t, err)
			_, before := openFilesLimits(t, target.PID)
			command = Program("withholding", strconv.Itoa(pid), c.without)
			command.User = c.limiter
			limiter := host.MustStart(command)
			_, err = limiter.Stdout.AwaitLine(t.Context(), "done", func(line string) bool { return line == "done" })
			require.NoError(t, err)
			for _, want := range c.wants {
				assert.Contains(t, limiter.Stdout.Lines(), want)
			}
			_, after := openFilesLimits(t, target.PID)
			assert.Equal(t, before, after, "the hard limit stays")
			require.NoError(t, target.Stdin.Close())
		})
	}
}

// openFilesLimits reads the limits from /proc, which needs no privilege.
func openFilesLimits(t *testing.T, pid int) (soft, hard uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	require.NoError(t, err)
	_, line, found := strings.Cut(string(text), "Max open files")
	require.True(t, found, string(text))
	_, err = fmt.Sscan(line, &soft, &hard)
	require.NoError(t, err, line)
	return soft, hard
}

// TestLimitAboveTheHardOne sets the soft limit to the hard one.
func TestLimitAboveTheHardOne(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	c := Program("opening")
	c.Stdin = true
	p := host.MustStart(c)
	info, err := p.Info()
	require.NoError(t, err)
	_, before := openFilesLimits(t, p.PID)
	_, err = host.SetLimit(info, OpenFiles, before+1)
	require.NoError(t, err)
	soft, hard := openFilesLimits(t, p.PID)
	assert.Equal(t, []uint64{before, before}, []uint64{soft, hard})
	require.NoError(t, p.Stdin.Close())
}

// TestFirstLimits are those of a program that changes none; that of the Go runtime is another.
func TestFirstLimits(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sleep")
	host := New(t).NewHost("h")
	_, err := host.FirstLimits()
	require.ErrorIs(t, err, os.ErrNotExist)
	p := host.MustStart(Exec("sleep", "1000"))
	info, err := p.Info()
	require.NoError(t, err)
	want, err := host.Limits(info)
	require.NoError(t, err)
	got, err := host.FirstLimits()
	require.NoError(t, err)
	assert.Equal(t, want, got)
	uid, err := host.UserOf(info)
	require.NoError(t, err)
	assert.Equal(t, os.Geteuid(), int(uid))
	path, err := host.ProgramOf(info)
	require.NoError(t, err)
	assert.NotEmpty(t, path)
	require.NoError(t, p.Kill(t.Context()))
	_, err = host.Limits(info)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
