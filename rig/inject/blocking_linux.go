// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"forkrig/rig/internal/syscalls"
	"forkrig/rig/observe"

	"golang.org/x/sys/unix"
)

// mayWait says whether the call may wait, so that a signal could interrupt it. Calls
// that a signal never interrupts count as calls that never wait.
func mayWait(n *notification) bool {
	w, known := syscalls.WaitOf(n.number)
	switch {
	case !known:
		return false
	case w.Flags != 0 && n.args[w.Flags]&w.DontWait != 0:
		return false
	case w.Milliseconds != 0 && int32(n.args[w.Milliseconds]) == 0:
		return false
	case w.Timeout != 0 && n.args[w.Timeout] != 0:
		var timeout [2]uint64
		if readMemory(n.tid, n.args[w.Timeout], &timeout) == nil && timeout == [2]uint64{} {
			return false
		}
	}
	return !w.Descriptor || descriptorWaits(n.tid, int32(n.args[0]))
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
	text, err := observe.StatusField(info, "flags")
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
