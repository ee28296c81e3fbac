package forkserver

// This file holds all of the server's unsafe code, and all that runs in a
// forked worker.
//
// A forked worker is a copy of a Go process in which only one thread exists:
// no scheduler, no garbage collector, no other goroutine. It may therefore
// only run functions that need none of them. They are marked
//
//	//go:nosplit      the stack cannot grow; the linker proves that it need not
//	//go:norace       the race detector's calls would need the Go runtime
//	//go:nocheckptr   likewise
//
// and they do not allocate, defer, store pointers, index where the compiler
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
	conn    int // the connection's descriptor in the server
	server  int // the server's process ID
	service service
	once    bool // answer one read, then close
	outlive bool // outlive the server
	defect  Defect
}

// buffer is what a worker reads into. Nobody writes to it before the fork, so each
// worker finds it zero, and in pages of its own.
var buffer [64 << 10]byte

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
	// goes with the rest. close_range came with Linux 5.9.
	if j.conn != workerConn {
		syscall.RawSyscall6(unix.SYS_DUP3, uintptr(j.conn), workerConn, 0, 0, 0, 0)
	}
	if _, _, errno := syscall.RawSyscall6(unix.SYS_CLOSE_RANGE, workerConn+1, math.MaxUint32, 0, 0, 0, 0); errno != 0 {
		// The kernel gives out the lowest free descriptor, so those of the
		// server, which keeps a handful, are not far above the newest one.
		for fd := workerConn + 1; fd < j.conn+64; fd++ {
			syscall.RawSyscall6(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)
		}
	}
	exit(serve(j))
}

// serve answers on the connection until the client has closed its side or, with
// j.once, after one answer. It returns the worker's exit status: 0 when the
// conversation ended, be it by a reset, 1 after an error that no client causes.
//
//go:nosplit
//go:norace
//go:nocheckptr
func serve(j job) (status int) {
	for {
		status, ended := answer(j)
		if ended {
			return status
		}
	}
}

// answer reads once from the connection and writes the whole reply.
//
//go:nosplit
//go:norace
//go:nocheckptr
func answer(j job) (status int, ended bool) {
	start := uintptr(unsafe.Pointer(&buffer))
	read, _, errno := syscall.RawSyscall6(unix.SYS_READ, workerConn, start, uintptr(len(buffer)), 0, 0, 0)
	switch {
	case errno == unix.EINTR:
		return 0, false
	case errno != 0:
		return statusAfter(errno), true
	case read == 0:
		return 0, true // after every reply, so a client that closed only its sending side has them all
	}

	if j.service == upper {
		for i := 0; i < int(read) && i < len(buffer); i++ {
			if 'a' <= buffer[i] && buffer[i] <= 'z' {
				buffer[i] -= 'a' - 'A'
			}
		}
	}

	// A signal after part was sent does not make the call fail, it makes the
	// count short (signal(7), "Interruption of system calls").
	for sent := uintptr(0); sent < read; {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, workerConn, start+sent, read-sent, unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			sent += n
		case unix.EINTR:
		default:
			return statusAfter(errno), true
		}
	}

	// A close with input still unread sends a reset, which may destroy the reply
	// on its way (RFC 1122, 4.2.2.13). The one answer of j.once therefore follows a read
	// with room for more than clients send before they wait.
	return 0, j.once
}

// statusAfter is the exit status of a worker whose read or write gave errno.
//
//go:nosplit
//go:norace
func statusAfter(errno syscall.Errno) int {
	if errno == unix.ECONNRESET || errno == unix.EPIPE {
		return 0
	}
	return 1
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

// action is the kernel's struct sigaction as a row of words: the handler, the
// flags, and what follows them on this architecture. (Not so on MIPS.)
type action [8]uintptr

// clearHandlers gives every caught signal its default action, as
// CLONE_CLEAR_SIGHAND does. Ignored signals stay ignored.
//
//go:nosplit
//go:norace
//go:nocheckptr
func clearHandlers() {
	for signal := uintptr(1); signal <= 64; signal++ {
		var a action
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, signal, 0, uintptr(unsafe.Pointer(&a)), 8, 0, 0)
		if a[0] > 1 { // neither SIG_DFL nor SIG_IGN
			a = action{}
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
		}
	}
}

// interrupts lets the signal interrupt system calls of this thread: it clears
// SA_RESTART, which the Go runtime sets for all its handlers, keeps the
// handler, and unblocks the signal.
func interrupts(signal syscall.Signal) error {
	const saRestart = 0x10000000 // asm-generic/signal-defs.h
	var a action
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), 0, uintptr(unsafe.Pointer(&a)), 8, 0, 0)
	if errno == 0 {
		a[1] &^= saRestart
		_, _, errno = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
	}
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction", errno)
	}
	mask := uint64(1) << (signal - 1)
	_, _, errno = syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_UNBLOCK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigprocmask", errno)
	}
	return nil
}
