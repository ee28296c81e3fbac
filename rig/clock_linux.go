// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"forkrig/rig/internal/program"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// monotonicClock is CLOCK_MONOTONIC of the rig. CLOCK_BOOTTIME is never behind it.
func monotonicClock() time.Duration {
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

// executeInPlace returns only where the file cannot be executed.
func executeInPlace(path string, args []string) error {
	return explainStartError(os.NewSyscallError("execve", syscall.Exec(path, args, os.Environ())))
}

// timeNamespaces says whether an execution enters the time namespace that was
// made for it. It tries that once.
var timeNamespaces = sync.OnceValue(func() error {
	missing := func(err error) error {
		return &MissingError{Feature: FeatureTimeNamespace, Err: err,
			Remedy: "use Linux 6.2 or later with CONFIG_TIME_NS, and run with CAP_SYS_ADMIN and CAP_SYS_TIME (sudo; in a container: --privileged)"}
	}
	own, err := timeNamespace()
	if err != nil {
		return missing(err)
	}
	probe := program.Command(clockProgram, "1000000000", "", program.Executable, program.Arg0(clockProgram), clockProbe)
	entered, err := probe.Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return missing(errors.New(strings.TrimPrefix(strings.TrimSpace(string(failed.Stderr)), clockFailure)))
	case err != nil:
		return fmt.Errorf("try a time namespace: %w", err)
	case string(entered) == own:
		return missing(errors.New("an execution does not enter the time namespace that was made for it"))
	}
	return nil
})
