// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waiting is a system call that waits on a thread of its own.
type waiting struct {
	n      *namespace
	thread int        // its number
	ended  chan error // gets what the call returned
}

// wait starts a system call on a socket, which blocks from now on, and returns when its thread
// sleeps in it.
func (s *socket) wait(call func() error) *waiting {
	s.n.must(unix.SetNonblock(s.fd, false), "make a socket block")
	w := &waiting{n: s.n, ended: make(chan error, 1)}
	thread := make(chan int)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		err := call()
		for err == unix.EINTR { // a signal of the Go runtime
			err = call()
		}
		w.ended <- err
	}()
	w.thread = <-thread
	w.n.await("a thread to sleep in a system call", func() bool { return w.asleep() || len(w.ended) > 0 })
	return w
}

// asleep says whether the thread sleeps in a system call on a socket. Where the kernel does
// not tell the call (/proc/PID/task/TID/syscall), it says whether the thread sleeps.
func (w *waiting) asleep() bool {
	directory := fmt.Sprintf("/proc/self/task/%d/", w.thread)
	stat, err := os.ReadFile(directory + "stat")
	if err != nil {
		return false
	}
	_, state, found := bytes.Cut(stat, []byte(") "))
	if !found || state[0] != 'S' {
		return false
	}
	text, err := os.ReadFile(directory + "syscall")
	if err != nil {
		return true
	}
	number, _, _ := bytes.Cut(text, []byte(" "))
	call, err := strconv.Atoi(string(number))
	return err == nil && (call == unix.SYS_ACCEPT4 || call == unix.SYS_READ)
}

// sleeps returns how often the thread has gone to sleep.
func (w *waiting) sleeps() string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", w.thread))
	w.n.must(err, "read the status of a thread")
	_, count, _ := bytes.Cut(status, []byte("\nvoluntary_ctxt_switches:"))
	count, _, _ = bytes.Cut(count, []byte("\n"))
	return string(count)
}

// silence is for how long a thread that should wake is looked at until it counts as
// forgotten.
const silence = 200 * time.Millisecond

// end returns what the call returned, or "blocked": the kernel did not wake the thread since
// the call of sleeps that returned before. A thread that was woken and got no processor yet
// is waited for.
func (w *waiting) end(before string) string {
	forgotten := time.Time{}
	var answer string
	w.n.await("a system call to return, or its thread to sleep on", func() bool {
		select {
		case err := <-w.ended:
			answer = errorName(err)
			return true
		default:
		}
		switch {
		case !w.asleep() || w.sleeps() != before:
			forgotten = time.Time{}
		case forgotten.IsZero():
			forgotten = time.Now()
		case time.Since(forgotten) > silence:
			answer = "blocked"
			return true
		}
		return false
	})
	return answer
}

// rawBind is bind(2) with the value that it returned, which is 0 or -1 on a kernel that does
// what its manual says.
func (s *socket) rawBind(address [4]byte, port uint16) (int, error) {
	to := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: address}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&to.Port))[:], port)
	returned, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(s.fd), uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	if errno != 0 {
		return -1, errno
	}
	return int(returned), nil
}

// disconnect takes a socket's connection away (AF_UNSPEC in connect(2)).
func (s *socket) disconnect() error {
	to := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	if errno != 0 {
		return errno
	}
	return nil
}

// memory returns how many bytes of memory the socket's receive queue takes, and how many it
// may take (SO_MEMINFO, Linux 4.12).
func (s *socket) memory() (used, limit int) {
	var values [9]uint32
	size := uint32(unsafe.Sizeof(values))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&values)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		s.n.must(errno, "getsockopt SO_MEMINFO")
	}
	return int(values[0]), int(values[1])
}

// withoutCapabilities calls f while the thread has no capability in effect, as an ordinary
// user.
func (n *namespace) withoutCapabilities(f func()) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var own [2]unix.CapUserData
	n.must(unix.Capget(&header, &own[0]), "capget")
	fewer := own
	fewer[0].Effective, fewer[1].Effective = 0, 0
	n.must(unix.Capset(&header, &fewer[0]), "capset")
	defer func() { n.must(unix.Capset(&header, &own[0]), "take capabilities back") }()
	f()
}
