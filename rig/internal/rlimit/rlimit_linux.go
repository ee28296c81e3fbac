// SPDX-License-Identifier: Apache-2.0

// Package rlimit sets resource limits of running processes (prlimit(2)).
package rlimit

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// The resources, as getrlimit(2) numbers them.
const (
	OpenFiles     = unix.RLIMIT_NOFILE
	UserProcesses = unix.RLIMIT_NPROC
	FileSize      = unix.RLIMIT_FSIZE
	Memory        = unix.RLIMIT_AS
)

// SetSoft sets the soft limit of a process, at most to the hard one, and returns the
// old one.
func SetSoft(pid, resource int, soft uint64) (old uint64, err error) {
	set := func() error {
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &limit); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
		old = limit.Cur
		limit.Cur = min(soft, limit.Max)
		return os.NewSyscallError("prlimit", unix.Prlimit(pid, resource, &limit, nil))
	}
	if err = set(); !errors.Is(err, os.ErrPermission) {
		return old, err
	}
	// Root without CAP_SYS_RESOURCE, as in many containers, may not limit a process of
	// another user, but that user may (check_prlimit_permission in kernel/sys.c).
	return old, asOwnerOf(pid, set)
}

// asOwnerOf calls f on a thread that has the user and group of the process.
func asOwnerOf(pid int, f func() error) error {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/"+strconv.Itoa(pid), &stat); err != nil {
		return os.NewSyscallError("stat", err)
	}
	result := make(chan error)
	go func() {
		// Raw system calls change this thread alone (nptl(7)). It never is itself
		// again: the goroutine ends without the unlock, and its thread with it.
		runtime.LockOSThread()
		uid, gid := uintptr(stat.Uid), uintptr(stat.Gid)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
			result <- fmt.Errorf("become group %d: %w", stat.Gid, errno)
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
			result <- fmt.Errorf("become user %d: %w", stat.Uid, errno)
			return
		}
		result <- f()
	}()
	return <-result
}
