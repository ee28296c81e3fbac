//go:build amd64 || arm64

package inject

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A waiting says what tells a call that may wait from one that never does.
type waiting struct {
	descriptor bool // the first argument is a descriptor, which may be one that never waits
	flags      int  // the argument with flags; 0 for none
	dontWait   uint64
	timeout    int // the argument with a timeout in milliseconds; 0 for none
	timeoutAt  int // the argument that points to a timeout of two words; 0 for none
}

// waitings are the calls that a signal may interrupt (signal(7)). Others count as
// calls that never wait.
var waitings = map[Call]waiting{
	"accept": {descriptor: true}, "accept4": {descriptor: true}, "connect": {descriptor: true},
	"read": {descriptor: true}, "readv": {descriptor: true}, "preadv2": {descriptor: true},
	"write": {descriptor: true}, "writev": {descriptor: true}, "pwritev2": {descriptor: true},
	"sendfile": {descriptor: true}, "splice": {descriptor: true}, "flock": {descriptor: true},
	"recvfrom": {descriptor: true, flags: 3, dontWait: unix.MSG_DONTWAIT},
	"sendto":   {descriptor: true, flags: 3, dontWait: unix.MSG_DONTWAIT},
	"recvmsg":  {descriptor: true, flags: 2, dontWait: unix.MSG_DONTWAIT},
	"sendmsg":  {descriptor: true, flags: 2, dontWait: unix.MSG_DONTWAIT},
	"recvmmsg": {descriptor: true, flags: 3, dontWait: unix.MSG_DONTWAIT},
	"sendmmsg": {descriptor: true, flags: 3, dontWait: unix.MSG_DONTWAIT},
	"wait4":    {flags: 2, dontWait: unix.WNOHANG},
	"waitid":   {flags: 3, dontWait: unix.WNOHANG},
	"poll":     {timeout: 2}, "epoll_wait": {timeout: 3}, "epoll_pwait": {timeout: 3},
	"ppoll": {timeoutAt: 2}, "select": {timeoutAt: 4}, "pselect6": {timeoutAt: 4}, "epoll_pwait2": {timeoutAt: 3},
	"rt_sigtimedwait": {timeoutAt: 2}, "pause": {}, "rt_sigsuspend": {}, "nanosleep": {}, "clock_nanosleep": {},
}

// mayWait says whether the call may wait, so that a signal could interrupt it.
func mayWait(c Call, n *notification) bool {
	w, known := waitings[c]
	switch {
	case !known:
		return false
	case w.flags != 0 && n.args[w.flags]&w.dontWait != 0:
		return false
	case w.timeout != 0 && int32(n.args[w.timeout]) == 0:
		return false
	case w.timeoutAt != 0 && n.args[w.timeoutAt] != 0:
		var timeout [2]uint64
		if readMemory(n.tid, n.args[w.timeoutAt], &timeout) == nil && timeout == [2]uint64{} {
			return false
		}
	}
	return !w.descriptor || descriptorWaits(n.tid, int32(n.args[0]))
}

// descriptorWaits says whether calls on a thread's descriptor may wait: those on
// files never do, nor where O_NONBLOCK is set.
func descriptorWaits(tid uint32, fd int32) bool {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tid, fd))
	if err != nil || strings.HasPrefix(link, "/") {
		return false
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, fd))
	if err != nil {
		return false
	}
	text, err := statusField(info, "flags")
	if err != nil {
		return false
	}
	flags, err := strconv.ParseUint(text, 8, 64)
	return err == nil && flags&unix.O_NONBLOCK == 0
}

// readMemory reads two words of a thread's memory.
func readMemory(tid uint32, address uint64, words *[2]uint64) error {
	local := unix.Iovec{Base: (*byte)(unsafe.Pointer(words)), Len: uint64(unsafe.Sizeof(*words))}
	remote := unix.RemoteIovec{Base: uintptr(address), Len: int(unsafe.Sizeof(*words))}
	_, err := unix.ProcessVMReadv(int(tid), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
	return os.NewSyscallError("process_vm_readv", err)
}
