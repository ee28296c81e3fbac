// SPDX-License-Identifier: Apache-2.0

// Package clock executes a command under clocks that are set off, in a time namespace
// (time_namespaces(7)). A helper program of the binary moves itself to that time and
// executes the command in its own place: the process, its number and its parent stay those
// of the command.
package clock

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/program"
)

// Program is the helper program.
const Program = program.Builtin + "clock"

// Failed is the exit status of the program where it could not execute the command;
// Failure begins its last line then.
const (
	Failed  = 126
	Failure = "forkrig clock: "
)

// Arguments returns the command, from argv[0], that executes the file at path with these
// arguments, from argv[0], under clocks set off by offset. It is executed as [program.Executable].
// user is UID:GID, or "" for that of the caller: the namespace is made before the user
// is changed, because that takes CAP_SYS_ADMIN.
func Arguments(offset time.Duration, user, path string, args []string) []string {
	return append([]string{program.Arg0(Program), strconv.FormatInt(int64(offset), 10), user, path}, args...)
}

// Runs says whether the process runs the program, and not yet the command.
func Runs(pid int) bool {
	command, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err != nil || len(command) == 0 || strings.HasPrefix(string(command), program.Arg0(Program)+"\x00")
}

// Monotonic is CLOCK_MONOTONIC of the caller. CLOCK_BOOTTIME is never behind it.
func Monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// timeNamespace names the time namespace of the calling process.
func timeNamespace() (string, error) { return os.Readlink("/proc/self/ns/time") }

// enterTime makes a time namespace with both clocks set off, for what the
// calling process executes. The offsets can be set only before a process is in
// the namespace (time_namespaces(7)). The caller is on the main thread, whose
// namespaces are those of the process. Requires CAP_SYS_ADMIN and CAP_SYS_TIME.
func enterTime(offset time.Duration) error {
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return fmt.Errorf("make a time namespace: %w", os.NewSyscallError("unshare", err))
	}
	// Seconds are rounded down: nanoseconds go from 0 to 999,999,999.
	seconds, rest := int64(offset/time.Second), int64(offset%time.Second)
	if rest < 0 {
		seconds, rest = seconds-1, rest+int64(time.Second)
	}
	text := fmt.Sprintf("monotonic %d %d\nboottime %d %d\n", seconds, rest, seconds, rest)
	if err := os.WriteFile("/proc/self/timens_offsets", []byte(text), 0); err != nil {
		return fmt.Errorf("set the clocks off by %v: %w", offset, err)
	}
	return nil
}

// becomeUser makes the process that user's, in this group alone.
func becomeUser(uid, gid string) error {
	user, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return err
	}
	group, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		return err
	}
	return errors.Join(
		os.NewSyscallError("setgroups", syscall.Setgroups(nil)),
		os.NewSyscallError("setgid", syscall.Setgid(int(group))),
		os.NewSyscallError("setuid", syscall.Setuid(int(user))))
}

// Works says whether an execution enters the time namespace that was made for it (Linux
// 6.2). It tries that once. missing says that the kernel refuses.
var Works = sync.OnceValues(func() (missing bool, err error) {
	own, err := timeNamespace()
	if err != nil {
		return true, err
	}
	probe := program.Command(Program, Arguments(time.Second, "", program.Executable, []string{program.Arg0(Program), clockProbe})[1:]...)
	entered, err := probe.Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return true, errors.New(strings.TrimPrefix(strings.TrimSpace(string(failed.Stderr)), Failure))
	case err != nil:
		return false, fmt.Errorf("try a time namespace: %w", err)
	case string(entered) == own:
		return true, errors.New("an execution does not enter the time namespace that was made for it")
	}
	return false, nil
})

// Main returns the program: its arguments are those of [Arguments]. explain says what to do
// about an error of execve(2).
func Main(explain func(error) error) func(args []string) int {
	return func(args []string) int {
		err := executeInTime(args[1:], explain)
		fmt.Fprintf(os.Stderr, "%s%v\n", Failure, err) // otherwise it was executed
		return Failed
	}
}

// clockProbe, in the place of an offset, has the clock program say which time
// namespace it is in.
const clockProbe = "probe"

func executeInTime(args []string, explain func(error) error) error {
	if len(args) == 1 && args[0] == clockProbe {
		namespace, err := timeNamespace()
		if err != nil {
			return err
		}
		fmt.Print(namespace)
		os.Exit(0)
	}
	if len(args) < 4 {
		return errors.New("this program is for Command.ClockOffset")
	}
	nanoseconds, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("read the offset: %w", err)
	}
	if err := enterTime(time.Duration(nanoseconds)); err != nil {
		return err
	}
	if uid, gid, given := strings.Cut(args[1], ":"); given {
		if err := becomeUser(uid, gid); err != nil {
			return err
		}
	}
	return explain(os.NewSyscallError("execve", syscall.Exec(args[2], args[3:], os.Environ())))
}
