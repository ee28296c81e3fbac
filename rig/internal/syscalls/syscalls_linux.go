// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

// Package syscalls is the one table of Linux system calls: their names and numbers, and
// how those that may wait are told to wait no longer. The table is data without
// initialisation, because each worker that is executed would pay for it.
package syscalls

import (
	"sync"

	"golang.org/x/sys/unix"
)

// call is a system call by its name, as strace(1) prints it, and its number.
type call struct {
	name   string
	number int32
}

// Absent is the number of a call that this architecture lacks and another one has.
const Absent = -1

// Number returns the number of a call. It is [Absent] where only another architecture
// has the call.
func Number(name string) (number int32, known bool) {
	for _, calls := range [][]call{common[:], legacy[:]} {
		for _, c := range calls {
			if c.name == name {
				return c.number, true
			}
		}
	}
	return 0, false
}

// Name returns the name of the call of this architecture that has the number.
func Name(number int) (name string, known bool) {
	if number < 0 {
		return "", false
	}
	for _, calls := range [][]call{common[:], legacy[:]} {
		for _, c := range calls {
			if int(c.number) == number {
				return c.name, true
			}
		}
	}
	return "", false
}

// Wait says how a call that a signal may interrupt (signal(7)) is told not to wait, or
// for how long. Arguments count from 0; none of these is argument 0, so 0 means that
// the call has no such argument.
type Wait struct {
	Descriptor bool   // argument 0 is a descriptor, which may be one that never waits
	Flags      int    // the argument with flags
	DontWait   uint64 // the flag with which the call does not wait
	// Milliseconds is the argument with a timeout, where a negative one is none.
	Milliseconds int
	// Timeout is the argument that points to a timeout of two words, where NULL is none.
	Timeout int
	Sleep   bool // the call waits for nothing but time
}

var waits = [...]struct {
	name string
	wait Wait
}{
	{"accept", Wait{Descriptor: true}}, {"accept4", Wait{Descriptor: true}}, {"connect", Wait{Descriptor: true}},
	{"read", Wait{Descriptor: true}}, {"readv", Wait{Descriptor: true}}, {"preadv2", Wait{Descriptor: true}},
	{"write", Wait{Descriptor: true}}, {"writev", Wait{Descriptor: true}}, {"pwritev2", Wait{Descriptor: true}},
	{"sendfile", Wait{Descriptor: true}}, {"splice", Wait{Descriptor: true}}, {"flock", Wait{Descriptor: true}},
	{"recvfrom", Wait{Descriptor: true, Flags: 3, DontWait: unix.MSG_DONTWAIT}},
	{"sendto", Wait{Descriptor: true, Flags: 3, DontWait: unix.MSG_DONTWAIT}},
	{"recvmsg", Wait{Descriptor: true, Flags: 2, DontWait: unix.MSG_DONTWAIT}},
	{"sendmsg", Wait{Descriptor: true, Flags: 2, DontWait: unix.MSG_DONTWAIT}},
	{"recvmmsg", Wait{Descriptor: true, Flags: 3, DontWait: unix.MSG_DONTWAIT}},
	{"sendmmsg", Wait{Descriptor: true, Flags: 3, DontWait: unix.MSG_DONTWAIT}},
	{"wait4", Wait{Flags: 2, DontWait: unix.WNOHANG}}, {"waitid", Wait{Flags: 3, DontWait: unix.WNOHANG}},
	{"poll", Wait{Milliseconds: 2}}, {"epoll_wait", Wait{Milliseconds: 3}}, {"epoll_pwait", Wait{Milliseconds: 3}},
	{"ppoll", Wait{Timeout: 2}}, {"select", Wait{Timeout: 4}}, {"pselect6", Wait{Timeout: 4}},
	{"epoll_pwait2", Wait{Timeout: 3}}, {"rt_sigtimedwait", Wait{Timeout: 2}},
	{"pause", Wait{}}, {"rt_sigsuspend", Wait{}}, {"nanosleep", Wait{Sleep: true}}, {"clock_nanosleep", Wait{Sleep: true}},
}

var waitsByNumber = sync.OnceValue(func() map[int32]Wait {
	byNumber := map[int32]Wait{}
	for _, w := range waits {
		if number, _ := Number(w.name); number != Absent {
			byNumber[number] = w.wait
		}
	}
	return byNumber
})

// WaitOf returns how the call with the number waits, where a signal may interrupt it.
func WaitOf(number int32) (w Wait, waits bool) {
	w, waits = waitsByNumber()[number]
	return w, waits
}
