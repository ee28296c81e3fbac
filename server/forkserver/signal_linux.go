// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signals are those that the server catches.
type signals struct {
	child chan os.Signal // SIGCHLD; one slot is enough, see workers.reapOn
	stop  chan os.Signal // SIGTERM and SIGINT; the first asks, the second insists
	hup   chan os.Signal // SIGHUP
}

// catchSignals makes the signals that the server uses interrupt its accept, as
// they do in a C server whose sa_flags are 0.
//
//   - SIGCHLD, SIGTERM and SIGINT have work to do.
//   - SIGHUP asks to reload the configuration. There is none but the command line, so this is
//     logged and changes nothing.
//   - SIGUSR1 and SIGUSR2 have none: they are for storms.
//   - SIGPIPE and SIGXFSZ are caught so that the server outlives the reader of its log, and a
//     limit on the log's size. In workers they have their default action again.
//   - SIGURG is left alone. The Go scheduler sends it to its own threads, and
//     relies on SA_RESTART to disturb nothing.
//
// Should the server have been started with a signal blocked or ignored, it
// catches it all the same, and its workers start with it neither blocked nor ignored.
func catchSignals(defect Defect) (*signals, error) {
	s := &signals{child: make(chan os.Signal, 1), stop: make(chan os.Signal, 2), hup: make(chan os.Signal, 1)}
	signal.Notify(s.child, unix.SIGCHLD)
	signal.Notify(s.stop, unix.SIGTERM, unix.SIGINT)
	signal.Notify(s.hup, unix.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGXFSZ) // nobody listens

	for _, sig := range []syscall.Signal{unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2} {
		if err := interrupts(sig); err != nil {
			return nil, fmt.Errorf("catch %s: %w", unix.SignalName(sig), err)
		}
	}
	if defect == NoSIGPIPE || defect == DiesOfLog {
		if err := setDefault(unix.SIGPIPE); err != nil {
			return nil, fmt.Errorf("leave SIGPIPE alone: %w", err)
		}
	}
	if defect == DiesOfLog {
		if err := setDefault(unix.SIGXFSZ); err != nil {
			return nil, fmt.Errorf("leave SIGXFSZ alone: %w", err)
		}
	}
	return s, nil
}

func signalName(s os.Signal) string {
	if s, ok := s.(syscall.Signal); ok {
		return unix.SignalName(s)
	}
	return s.String()
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
