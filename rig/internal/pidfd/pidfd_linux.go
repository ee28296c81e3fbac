// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process is a process held by a pidfd (pidfd_open(2), Linux 5.3), so that
// a signal never hits another process that got the same number.
type Process struct {
	PID int
	fd  int // owned

	Threads []int // where the caller looked them up
}

// Open opens a process. The error is os.ErrProcessDone where there is
// none of that number, or only its zombie's remains.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil, os.ErrProcessDone
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	return &Process{PID: pid, fd: fd}, nil
}

// Signal sends s. The error is os.ErrProcessDone once the process was waited for.
func (h *Process) Signal(s unix.Signal) error {
	err := unix.PidfdSendSignal(h.fd, s, nil, 0)
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Ran returns the processor time that all threads of the process have used, to the
// nanosecond also while they run, as /proc/PID/stat does not tell it. The number may be
// another process's once this one was waited for: it decides nothing but a count.
func (h *Process) Ran() (time.Duration, error) {
	clock := int32(^h.PID<<3 | clockScheduler) // clock_getcpuclockid(3)
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(now.Nano()), nil
}

const clockScheduler = 2 // CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h

// SignalThread sends s to one thread of the process. The error is
// os.ErrProcessDone where it has ended. A thread has no handle before Linux 6.9
// (PIDFD_THREAD in pidfd_open(2)), so the process must be alive right before: its
// number cannot be another's yet.
func (h *Process) SignalThread(s unix.Signal, thread int) error {
	if err := h.checkAlive(); err != nil {
		return err
	}
	return threadDone("tgkill", unix.Tgkill(h.PID, thread, s))
}

// Queue sends s with a value: to the process, or to one of its threads where
// thread is not 0. The error is os.ErrProcessDone where that has ended, and EAGAIN
// where the queue of the target's user is full.
//
// SI_QUEUE is the one code that a process may give itself; a code of 0 and above
// is the kernel's, and SI_TKILL that of tgkill (rt_sigqueueinfo(2)). si_pid and
// si_uid are what the sender says they are, and are left 0.
func (h *Process) Queue(s unix.Signal, thread int, value int32) error {
	info := queuedInfo{signo: int32(s), code: siQueue}
	*(*int32)(unsafe.Pointer(&info.value)) = value // sival_int of the union sigval
	if thread == 0 {
		_, _, errno := unix.Syscall6(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(h.fd), uintptr(s), uintptr(unsafe.Pointer(&info)), 0, 0, 0)
		return threadDone("pidfd_send_signal", errnoOrNil(errno))
	}
	if err := h.checkAlive(); err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_RT_TGSIGQUEUEINFO, uintptr(h.PID), uintptr(thread), uintptr(s), uintptr(unsafe.Pointer(&info)), 0, 0)
	return threadDone("rt_tgsigqueueinfo", errnoOrNil(errno))
}

// QueuedInfo is siginfo_t as SI_QUEUE fills it on 64-bit systems
// (include/uapi/asm-generic/siginfo.h).
type queuedInfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	value              uint64
	_                  [96]byte
}

// siQueue is SI_QUEUE of that file.
const siQueue = -1

func (h *Process) checkAlive() error {
	dead, err := h.Dead()
	if err == nil && dead {
		err = os.ErrProcessDone
	}
	return err
}

func errnoOrNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func threadDone(call string, err error) error {
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return os.NewSyscallError(call, err)
}

// Dead says whether the process has ended, waited for or not.
func (h *Process) Dead() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	for err == unix.EINTR { // by a signal of the Go runtime
		n, err = unix.Poll(fds, 0)
	}
	return n > 0, os.NewSyscallError("poll", err)
}

// ReapTraced waits for those of the threads that have ended and that the caller traces, as
// they asked for (PTRACE_TRACEME in ptrace(2)): the kernel reports the end of a process only
// when they were waited for.
func (h *Process) ReapTraced(threads []int) {
	for _, thread := range threads {
		if thread != h.PID {
			_, _ = unix.Wait4(thread, nil, unix.WALL|unix.WNOHANG, nil) // an error: it is not traced
		}
	}
}

func (h *Process) Close() { unix.Close(h.fd) }

// Enter moves the calling thread into namespaces of the process, named by CLONE_ flags
// (setns(2) with a pidfd, Linux 5.8).
func (h *Process) Enter(namespaces int) error {
	return os.NewSyscallError("setns", unix.Setns(h.fd, namespaces))
}
