// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

func setSoftLimit(pid int, resource Resource, soft uint64) (old uint64, err error) {
	number := [...]int{
		OpenFiles:     unix.RLIMIT_NOFILE,
		UserProcesses: unix.RLIMIT_NPROC,
		FileSize:      unix.RLIMIT_FSIZE,
		Memory:        unix.RLIMIT_AS,
	}[resource]
	set := func() error {
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, number, nil, &limit); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
		old = limit.Cur
		limit.Cur = min(soft, limit.Max)
		return os.NewSyscallError("prlimit", unix.Prlimit(pid, number, &limit, nil))
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
	if err := unix.Stat(procPath(pid), &stat); err != nil {
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
