// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ReadEndurance reads the options of a TCP socket that a process has open, through a
// copy of its descriptor (pidfd_getfd(2), Linux 5.6) that is closed at once. It needs
// the right to trace the process (ptrace(2)). The error wraps os.ErrNotExist where the
// process has ended or has no such socket.
func ReadEndurance(of ProcessInfo, inode uint32) (e Endurance, err error) {
	fd, err := copySocket(of, inode)
	if err != nil {
		return e, err
	}
	defer unix.Close(fd)
	integer := func(level, option int) int {
		value, optionErr := unix.GetsockoptInt(fd, level, option)
		if optionErr != nil && err == nil {
			err = os.NewSyscallError("getsockopt", optionErr)
		}
		return value
	}
	timeout := func(option int) time.Duration {
		value, optionErr := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, option)
		if optionErr != nil {
			if err == nil {
				err = os.NewSyscallError("getsockopt", optionErr)
			}
			return 0
		}
		return time.Duration(value.Nano())
	}
	e = Endurance{
		KeepAlive:      integer(unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0,
		Idle:           time.Duration(integer(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)) * time.Second,
		Interval:       time.Duration(integer(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)) * time.Second,
		Probes:         integer(unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		ReceiveTimeout: timeout(unix.SO_RCVTIMEO),
		SendTimeout:    timeout(unix.SO_SNDTIMEO),
		UserTimeout:    time.Duration(integer(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond,
	}
	return e, err
}

// copySocket returns a descriptor of the process's socket. The caller closes it.
func copySocket(of ProcessInfo, inode uint32) (int, error) {
	process, err := unix.PidfdOpen(of.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("process %d: %w", of.PID, os.ErrNotExist)
	}
	defer unix.Close(process)
	fds, err := ReadFDs(of.PID)
	// The process of the descriptor is the one that was asked about: it is there after
	// that was opened.
	if now, nowErr := ReadProcess(of.PID); isGone(err) || nowErr != nil || !now.Same(of) {
		return -1, fmt.Errorf("%s pid %d has ended: %w", of.Name, of.PID, os.ErrNotExist)
	}
	if err != nil {
		return -1, err
	}
	for _, fd := range fds.Of(FDSocket) {
		if fd.Inode != uint64(inode) {
			continue
		}
		copied, err := unix.PidfdGetfd(process, fd.Number, 0)
		if err != nil {
			remedy := ""
			if err == unix.EPERM {
				remedy = ": give CAP_SYS_PTRACE, or allow the call in the seccomp profile (in a container: --cap-add SYS_PTRACE or seccomp=unconfined)"
			}
			return -1, fmt.Errorf("copy descriptor %d of %s pid %d: %w%s", fd.Number, of.Name, of.PID, os.NewSyscallError("pidfd_getfd", err), remedy)
		}
		return copied, nil
	}
	return -1, fmt.Errorf("%s pid %d has no socket of inode %d: %w", of.Name, of.PID, inode, os.ErrNotExist)
}
