// SPDX-License-Identifier: Apache-2.0

package forkserver

// This file makes a forked worker. What the worker then does is in
// conversation_linux.go, under the same rules.
//
// A forked worker is a copy of a Go process in which only one thread exists:
// no scheduler, no garbage collector, no other goroutine. It may therefore
// only run functions that need none of them. They are marked
//
//	//go:nosplit      the stack cannot grow; the linker proves that it need not
//	//go:norace       the race detector's calls would need the Go runtime
//	//go:nocheckptr   likewise
//
// and they do not allocate, defer, store pointers, use package variables other than buffer
// (see memory.trim), index where the compiler
// cannot see that the index is in range, or call through interfaces. They make
// system calls through syscall.RawSyscall6 alone, which is what package syscall
// uses between fork and exec, and for the same reasons.

import (
	"math"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// workerConn is the descriptor of a worker's connection, in both worker models.
const workerConn = 3

// job is what a worker has to know. It holds no pointers: the heap is not
// there in a forked worker (see memory_linux.go).
type job struct {
	conn     int // the connection's descriptor
	listener int // the listener's descriptor, in the server and until work closes it
	server   int // the server's process ID
	service  service
	once     bool // answer one read, then close
	outlive  bool // outlive the server
	defect   Defect
}

// forkWorker is fork with an error as the rest of the server has them.
func forkWorker(j job, m *memory) (pid int, err error) {
	pid, errno := fork(j, m)
	if errno != 0 {
		return 0, os.NewSyscallError("clone", errno)
	}
	return pid, nil
}

// fork starts a worker that does j, and returns its process ID. The caller is
// locked to its thread. Requires Linux 3.4. Since 5.5 the kernel resets the worker's signal
// handlers, which saves a tenth of the processor time of a connection; before,
// or where a sandbox forbids clone3, the worker resets them one by one.
//
// All signals are blocked meanwhile, so that no handler of the Go runtime runs
// in the worker, and so that a signal that arrives now is the server's alone:
// a child starts with no pending signals (fork(2)).
//
//go:nosplit
//go:norace
//go:nocheckptr
func fork(j job, m *memory) (pid int, errno syscall.Errno) {
	all, before := ^uint64(0), uint64(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
	m.share(uintptr(unsafe.Pointer(&all)))

	args := cloneArgs{flags: unix.CLONE_CLEAR_SIGHAND, exitSignal: uint64(unix.SIGCHLD)}
	child, _, errno := syscall.RawSyscall6(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0, 0, 0, 0)
	handlersCleared := true
	if errno == unix.ENOSYS || errno == unix.EINVAL || errno == unix.EPERM {
		child, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		handlersCleared = false
	}
	if errno == 0 && child == 0 {
		work(j, before, handlersCleared) // does not return
	}

	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&before)), 0, 8, 0, 0)
	return int(child), errno
}

// cloneArgs is struct clone_args of clone3(2) in its first version, Linux 5.3.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
}

// work is the life of a forked worker: it makes a clean process of itself,
// serves, and exits.
//
//go:nosplit
//go:norace
//go:nocheckptr
func work(j job, mask uint64, handlersCleared bool) {
	if !handlersCleared {
		clearHandlers()
	}
	if !j.outlive {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		// The server may have ended before that call, and then no signal comes.
		if parent, _, _ := syscall.RawSyscall6(unix.SYS_GETPPID, 0, 0, 0, 0, 0, 0); int(parent) != j.server {
			exit(1)
		}
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)

	// Keep standard input, output and error and the connection; the listener
	// goes with the rest.
	newest, first := j.conn, workerConn+1
	if j.conn != workerConn {
		if _, _, errno := syscall.RawSyscall6(unix.SYS_DUP3, uintptr(j.conn), workerConn, 0, 0, 0, 0); errno == 0 {
			j.conn = workerConn
		} else { // there is a limit on descriptors now, below that number: leave it where it is
			closeRange(workerConn, j.conn-1, newest)
			first = j.conn + 1
		}
	}
	// The listener is above workerConn, see listener.open.
	if j.defect == WorkerKeepsListener {
		closeRange(first, j.listener-1, newest)
		first = j.listener + 1
	}
	closeRange(first, math.MaxInt32, newest)
	exit(serve(j))
}

// closeRange closes the descriptors from first to last. The system call of
// that name came with Linux 5.9.
//
//go:nosplit
//go:norace
func closeRange(first, last, newest int) {
	if first > last {
		return
	}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, uintptr(first), uintptr(last), 0, 0, 0, 0); errno != 0 {
		// The kernel gives out the lowest free descriptor, so those of the
		// server, which keeps a handful, are not far above the newest one.
		for fd := first; fd <= last && fd < newest+64; fd++ {
			syscall.RawSyscall6(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)
		}
	}
}

// exit ends the process, running nothing of Go's.
//
//go:nosplit
//go:norace
func exit(status int) {
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, uintptr(status), 0, 0, 0, 0, 0)
	}
}
