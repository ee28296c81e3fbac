// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"forkrig/rig"

	"golang.org/x/sys/unix"
)

// order is what the rig tells the shim.
type order struct {
	Path    string        // of the file to execute
	Calls   []int32       // to trap
	Ignored rig.SignalSet // the signals that the subject is to find ignored
}

// What the shim tells the rig: a message of one of these kinds and an errno. The
// end of the stream without one means that the subject was executed.
const (
	tellFilter = iota // the filter is installed; the message carries its descriptor
	tellNoFilter
	tellNoExec
)

// tellSize is the size of a message: a kind and an errno.
const tellSize = 8

// maxOrder is more than any order is long: a path and a number for each call.
const maxOrder = 64 << 10

// Shim is the helper program that installs the filter and executes the subject in
// its own place. It belongs in the programs of [rig.Main] as "inject", and
// [Start] alone uses it.
func Shim(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "inject: this program is for inject.Start")
		return 2
	}
	if err := shim(args[1], args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "inject: %v\n", err)
	}
	return 127
}

// shim returns only where the subject cannot be executed.
func shim(address string, args []string) error {
	// Not package net: it would make the socket one that does not block.
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: address}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	text := make([]byte, maxOrder)
	n, err := unix.Read(socket, text)
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	var o order
	if err := json.Unmarshal(text[:n], &o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	h, err := newHandover(socket, o, args)
	if err != nil {
		return err
	}
	// The Go runtime has put handlers in place of ignored signals, except for
	// SIGHUP and SIGINT. Handlers do not survive an execution, ignoring does.
	for _, s := range o.Ignored.Signals() {
		signal.Ignore(s)
	}
	// The Go runtime has raised the soft limit on open files. It gives it back
	// before an execution, also before one that fails (src/syscall/exec_unix.go).
	_ = syscall.Exec("", nil, nil)
	errno := h.run()
	runtime.KeepAlive(h)
	if errno != 0 {
		_, err := unix.Write(socket, binary.NativeEndian.AppendUint32([]byte{tellNoFilter, 0, 0, 0}, uint32(errno)))
		return os.NewSyscallError("write", err)
	}
	return nil
}

// handover is all that is needed from the installation of the filter to the
// execution of the subject. In between no code of the Go runtime may run, since
// the first trapped call of this thread would wait for a rig that does not have
// the filter's descriptor yet.
type handover struct {
	filter  []unix.SockFilter
	program unix.SockFprog
	pass    uintptr

	socket   uintptr
	message  unix.Msghdr
	iov      unix.Iovec
	tell     [tellSize]byte
	errno    *uint32 // in tell
	control  []byte
	listener *int32 // in control

	path       *byte
	argv, envp []*byte
	all, old   uint64 // signal masks of the kernel's size
}

func newHandover(socket int, o order, args []string) (h *handover, err error) {
	var pass [8]byte
	if _, err := rand.Read(pass[:]); err != nil {
		return nil, fmt.Errorf("draw a number: %w", err)
	}
	h = &handover{socket: uintptr(socket), control: unix.UnixRights(0), all: ^uint64(0)}
	h.pass = uintptr(binary.NativeEndian.Uint64(pass[:]))
	if h.filter, err = newFilter(o.Calls, uint64(h.pass)); err != nil {
		return nil, err
	}
	h.program = unix.SockFprog{Len: uint16(len(h.filter)), Filter: &h.filter[0]}
	h.tell[0] = tellFilter
	h.errno = (*uint32)(unsafe.Pointer(&h.tell[4]))
	h.listener = (*int32)(unsafe.Pointer(&h.control[unix.CmsgLen(0)]))
	h.iov.Base = &h.tell[0]
	h.iov.SetLen(len(h.tell))
	h.message.Iov = &h.iov
	h.message.SetIovlen(1)
	h.message.Control = &h.control[0]
	h.message.SetControllen(len(h.control))
	if h.path, err = unix.BytePtrFromString(o.Path); err != nil {
		return nil, fmt.Errorf("path %q: %w", o.Path, err)
	}
	if h.argv, err = syscall.SlicePtrFromStrings(args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if h.envp, err = syscall.SlicePtrFromStrings(os.Environ()); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return h, nil
}

const signalSetSize = 8 // of the kernel's sigset_t

// run installs the filter, hands its descriptor to the rig and executes the
// subject. It returns only where the filter cannot be installed. All calls that it
// makes under the filter pass it.
//
// All signals are blocked, so that the Go runtime cannot preempt it.
//
//go:nosplit
//go:norace
func (h *handover) run() (errno syscall.Errno) {
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&h.all)), uintptr(unsafe.Pointer(&h.old)), signalSetSize, 0, 0)
	flags := uintptr(waitKillable)
	var fd uintptr
	for range 3 {
		// This thread's filter: the others end with the execution.
		fd, _, errno = unix.RawSyscall6(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
			flags, uintptr(unsafe.Pointer(&h.program)), 0, 0, 0)
		if errno == unix.EINVAL {
			flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // before Linux 5.19
		} else if errno == unix.EACCES {
			// Without CAP_SYS_ADMIN no set-user-ID program may run under a filter.
			unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
		} else {
			break
		}
	}
	if errno != 0 {
		unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&h.old)), 0, signalSetSize, 0, 0)
		return errno
	}
	*h.listener = int32(fd)
	unix.RawSyscall6(unix.SYS_SENDMSG, h.socket, uintptr(unsafe.Pointer(&h.message)), unix.MSG_NOSIGNAL, 0, 0, h.pass)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&h.old)), 0, signalSetSize, 0, h.pass)
	_, _, errno = unix.RawSyscall6(unix.SYS_EXECVE, uintptr(unsafe.Pointer(h.path)),
		uintptr(unsafe.Pointer(&h.argv[0])), uintptr(unsafe.Pointer(&h.envp[0])), 0, 0, 0)
	h.tell[0] = tellNoExec
	*h.errno = uint32(errno)
	unix.RawSyscall6(unix.SYS_WRITE, h.socket, uintptr(unsafe.Pointer(&h.tell[0])), tellSize, 0, 0, h.pass)
	for {
		unix.RawSyscall6(unix.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}
