// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"forkrig/rig"
	"forkrig/rig/internal/syscalls"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif, and answer struct seccomp_notif_resp
// (seccomp_unotify(2)). The numbers of the ioctls contain their sizes.
type notification struct {
	id     uint64
	tid    uint32
	flags  uint32
	number int32
	arch   uint32
	ip     uint64
	args   [6]uint64
}

type answer struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// waitKillable are the flags of a filter whose calls wait for their answers also when a signal comes.
const waitKillable = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// supervisor answers the trapped calls of a session. It never ends while a
// process has the filter: their trapped calls would fail with ENOSYS.
type supervisor struct {
	*Session
	fd      int             // of the filter; owned
	slots   []int16         // by call number
	threads map[int32]int32 // process of a thread; checked whenever it is used
	warned  bool
}

func newSupervisor(s *Session, fd int) *supervisor {
	v := &supervisor{Session: s, fd: fd, threads: map[int32]int32{}}
	s.mu.Lock()
	s.filter = fd
	s.mu.Unlock()
	for slot, c := range s.calls {
		number, _ := syscalls.Number(string(c))
		for int(number) >= len(v.slots) {
			v.slots = append(v.slots, -1)
		}
		if number != syscalls.Absent {
			v.slots[number] = int16(slot)
		}
	}
	// The kernel then runs the two on one processor, in turns. Since Linux 6.6;
	// without it everything is as right, but slower.
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	return v
}

// run answers until no process has the filter.
func (v *supervisor) run() {
	// A thread of its own wakes up faster than a goroutine would be scheduled.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(v.ended)
	defer v.end()
	n := new(notification)
	for {
		fds := [1]unix.PollFd{{Fd: int32(v.fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds[:], -1)
		switch {
		case err != nil:
			v.warn("poll", err)
		case fds[0].Revents&unix.POLLIN != 0:
			v.next(n)
		case fds[0].Revents&unix.POLLHUP != 0:
			return
		} // otherwise it is POLLERR: a signal came while the kernel waited for a lock of its own
	}
}

// next takes a call and answers it. Under the lock, so that a hit is seen as soon
// as the subject may go on, no call is judged by rules that were replaced, and
// each call that waits either is seen by poll or holds the lock.
func (v *supervisor) next(n *notification) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*n = notification{}
	// It does not block: where the call was interrupted meanwhile, it is ENOENT.
	if errno := v.ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n)); errno != 0 {
		v.warn("ioctl", errno)
		return
	}
	v.handle(n)
}

// waiting says whether a trapped call waits for its answer, and how many calls were
// made so far.
func (s *Session) waiting() (waits bool, made int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.seen {
		made += n.Listener + n.Workers
	}
	if s.filter == unheld {
		return false, made
	}
	fds := [1]unix.PollFd{{Fd: int32(s.filter), Events: unix.POLLIN}}
	_, err := unix.Poll(fds[:], 0)
	for err == unix.EINTR || err == nil && fds[0].Revents&unix.POLLERR != 0 { // by a signal with which the Go runtime preempts a goroutine
		_, err = unix.Poll(fds[:], 0)
	}
	return err != nil || fds[0].Revents&unix.POLLIN != 0, made
}

// warn records the first error that is not part of the ordinary course.
func (v *supervisor) warn(call string, err error) {
	if err != unix.EINTR && err != unix.ENOENT && !v.warned {
		v.warned = true
		v.Process.Record("seccomp notification: %v", os.NewSyscallError(call, err))
	}
}

// ioctl is for requests that do not block. But they wait for a lock of the kernel, and a signal ends
// that wait, such as one with which the Go runtime preempts a goroutine: without another try the call
// would wait for its answer for ever.
func (v *supervisor) ioctl(request uintptr, argument unsafe.Pointer) syscall.Errno {
	for {
		if _, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(v.fd), request, uintptr(argument)); errno != unix.EINTR {
			return errno
		}
	}
}

func (v *supervisor) end() {
	v.mu.Lock()
	for pid, fd := range v.listeners {
		if fd != unheld {
			unix.Close(fd)
			v.listeners[pid] = unheld
		}
	}
	v.filter = unheld
	v.mu.Unlock()
	unix.Close(v.fd)
	v.Process.Record("no process has the filter any more")
}

// handle answers one call. The caller holds the lock.
func (v *supervisor) handle(n *notification) {
	slot := int(v.slots[n.number])
	pid := v.processOf(int32(n.tid))
	if pid == 0 { // it has ended
		v.send(&answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
		return
	}
	in := v.role(pid, v.calls[slot])
	if v.calls[slot] == callSigaction {
		v.noteHandler(n, pid)
	}
	v.seen[slot].add(in, 1)
	o := occasion{slot: slot, in: in}
	for _, r := range v.rules {
		if r.Waiting && r.slots[slot] {
			o.waits = mayWait(n)
			break
		}
	}
	hit := choose(v.rules, o)
	if hit == nil {
		if !v.send(&answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}) {
			v.forget(o, nil)
		}
		return
	}
	h := Hit{Call: v.calls[slot], PID: int(pid), In: in, Rule: hit.index, Nth: hit.seen, At: time.Now()}
	signal := func() {
		if hit.Signal != 0 && v.signal(pid, n.tid, hit.Signal) {
			h.Signal = hit.Signal
		}
	}
	signalFirst := hit.Errno == 0 || waitsThroughSignals()
	if signalFirst && v.valid(n) {
		signal()
	}
	a := answer{id: n.id, errno: -int32(hit.Errno)}
	if hit.Errno == 0 {
		a.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	if v.send(&a) {
		h.Errno = hit.Errno
		if !signalFirst {
			signal()
		}
	}
	if h.Errno == 0 && h.Signal == 0 {
		v.forget(o, hit)
		return
	}
	v.hits = append(v.hits, h)
	v.Process.Detail(rig.EventCall, h.PID, h)
}

// waitsThroughSignals says whether a call waits for its answer also when a signal comes (Linux 5.19,
// commit c2aa2dfef243). Before, the signal ends it, and the answer with its errno comes too late.
var waitsThroughSignals = sync.OnceValue(func() bool {
	// A flag that is known, and no filter, are EFAULT.
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, waitKillable, 0)
	return errno == unix.EFAULT
})

// send answers a call. It says false where the call does not wait any more: it was
// interrupted by a signal, or its process was killed.
func (v *supervisor) send(a *answer) bool {
	errno := v.ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(a))
	if errno != 0 {
		v.warn("ioctl", errno)
	}
	return errno == 0
}

// forget takes back that the call was counted.
func (v *supervisor) forget(o occasion, hit *armedRule) {
	v.seen[o.slot].add(o.in, -1)
	forget(v.rules, o, hit)
}

// valid says whether the call still waits for its answer, so that what was found
// out about its thread was about this thread.
func (v *supervisor) valid(n *notification) bool {
	id := n.id
	return v.ioctl(unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == 0
}

// signal sends a signal to a thread.
func (v *supervisor) signal(pid int32, tid uint32, s syscall.Signal) bool {
	err := unix.Tgkill(int(pid), int(tid), s)
	if err != nil {
		v.warn("tgkill", err)
	}
	return err == nil
}

// processOf returns the process of a thread that waits in a trapped call, or 0
// where it has ended. It reads /proc only for a thread that it does not know and
// that is not the first of its process.
func (v *supervisor) processOf(tid int32) (pid int32) {
	if isThreadOf(tid, tid) {
		return tid
	}
	if pid, known := v.threads[tid]; known && isThreadOf(tid, pid) {
		return pid
	}
	text, err := readStatus(int(tid), "Tgid")
	if err != nil {
		return 0
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	v.threads[tid] = int32(number)
	return int32(number)
}

// isThreadOf asks the kernel whether the process has the thread (tgkill(2)).
func isThreadOf(tid, pid int32) bool {
	_, _, errno := unix.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(tid), 0)
	return errno == 0 || errno == unix.EPERM
}

// role returns what the process is, now that it makes the call. The kernel may
// give the number of a listener that has ended to a worker, so each listener is
// held by a pidfd.
func (v *supervisor) role(pid int32, c Call) Where {
	fd, is := v.listeners[int(pid)]
	if is && fd != unheld {
		_, _, errno := unix.RawSyscall6(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(fd), 0, 0, 0, 0, 0)
		if errno == unix.ESRCH {
			unix.Close(fd)
			delete(v.listeners, int(pid))
			for key := range v.handlers {
				if key.pid == int(pid) {
					delete(v.handlers, key)
				}
			}
			is = false
		}
	}
	if is {
		return Listener
	}
	if !c.makesListener() {
		return Workers
	}
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		v.warn("pidfd_open", err)
		fd = unheld
	}
	v.listeners[int(pid)] = fd
	return Listener
}

// noteHandler reads what rt_sigaction is asked for. An error of the call itself
// is not seen.
func (v *supervisor) noteHandler(n *notification, pid int32) {
	signal, action := syscall.Signal(n.args[0]), n.args[1]
	if action == 0 || signal <= 0 || signal > maxSignal || signal == unix.SIGKILL || signal == unix.SIGSTOP {
		return
	}
	// The beginning of the kernel's struct sigaction: handler and flags.
	var words [2]uint64
	if err := readMemory(n.tid, action, &words); err != nil {
		v.warn("process_vm_readv", err)
		return
	}
	const defaultAction, ignore = 0, 1 // SIG_DFL and SIG_IGN
	key := handlerKey{int(pid), signal}
	if handler := words[0]; handler == defaultAction || handler == ignore {
		delete(v.handlers, key)
	} else {
		v.handlers[key] = words[1]
		mode := modeInterrupts
		if words[1]&saRestart != 0 {
			mode = modeRestarts
		}
		v.modes[signal] |= mode
	}
}
