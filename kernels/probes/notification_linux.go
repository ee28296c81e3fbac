// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notificationProbes ask about system calls that a supervisor answers.
var notificationProbes = []Probe{{
	ID:     "K50",
	Name:   "a system call that a supervisor has answered while a signal came",
	Source: "commit cce436aafc2a (Linux 6.18) fixes c2aa2dfef243 (5.19); SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV in seccomp(2)",
	ask:    askNotification,
}}

// struct seccomp_notif and struct seccomp_notif_resp (seccomp_unotify(2)).
type notification struct {
	id uint64
	_  [2]uint32
	_  [64]byte // struct seccomp_data
}

type notificationAnswer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// askNotification has a thread make calls that are answered at once. Just before every second one
// is read a signal comes, whose handler has SA_RESTART. A call that is interrupted before it is read
// is asked again and was not answered, so that there are as many answers as calls.
func askNotification(n *namespace) string {
	const calls = 4000
	var listener, thread atomic.Int64
	var missing atomic.Pointer[syscall.Errno]
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine, and the filter with it
		defer close(done)
		fd, errno := trapGetpriority()
		if errno != 0 {
			missing.Store(&errno)
			close(ready)
			return
		}
		listener.Store(int64(fd))
		thread.Store(int64(unix.Gettid()))
		close(ready)
		for range calls {
			_, _, _ = unix.Syscall(unix.SYS_GETPRIORITY, 0, 0, 0)
		}
	}()
	<-ready
	if errno := missing.Load(); errno != nil {
		n.missing("seccomp-wait-killable", *errno)
	}
	fd := int(listener.Load())
	answers := answerAll(fd, done, func() { _ = unix.Tgkill(unix.Getpid(), int(thread.Load()), unix.SIGURG) }) // an error: it has ended
	unix.Close(fd)
	if answers > calls {
		return "some are made again"
	}
	return "each ends with the answer"
}

// trapGetpriority installs a filter on the calling thread that has getpriority(2) answered by who
// holds the descriptor. Requires Linux 5.19.
func trapGetpriority() (fd int, errno syscall.Errno) {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_GETPRIORITY},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err.(syscall.Errno)
	}
	p, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})))
	return int(p), errno
}

// answerAll answers the calls until done is closed, and returns how many answers the kernel took. It
// calls interrupt before it reads every second one.
func answerAll(fd int, done <-chan struct{}, interrupt func()) (taken int) {
	const look = 10 // milliseconds
	for seen := 0; ; seen++ {
		listener := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		// Without a call to read it would block for ever where the thread has ended.
		if _, err := unix.Poll(listener, look); err != nil || listener[0].Revents&unix.POLLIN == 0 {
			select {
			case <-done:
				return taken
			default:
				continue
			}
		}
		if seen%2 == 0 {
			interrupt()
		}
		var asked notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked))); errno != 0 {
			continue // the call was interrupted, and is made again
		}
		answer := notificationAnswer{id: asked.id}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer))); errno == 0 {
			taken++
		}
	}
}
