package forkserver

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

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

// setDefault gives the signal its default action, which the Go runtime, with
// its handlers for all signals, never does.
func setDefault(signal syscall.Signal) error {
	var a action
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction", errno)
	}
	return nil
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
