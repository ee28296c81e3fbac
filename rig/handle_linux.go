package rig

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// processHandle is a process held by a pidfd (pidfd_open(2), Linux 5.3), so that
// a signal never hits another process that got the same number.
type processHandle struct {
	pid int
	fd  int // owned
}

// openProcess opens a process. The error is os.ErrProcessDone where there is
// none of that number, or only its zombie's remains.
func openProcess(pid int) (*processHandle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil, os.ErrProcessDone
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
	}
	return &processHandle{pid: pid, fd: fd}, nil
}

// signal sends s. The error is os.ErrProcessDone once the process was waited for.
func (h *processHandle) signal(s unix.Signal) error {
	err := unix.PidfdSendSignal(h.fd, s, nil, 0)
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// dead says whether the process has ended, waited for or not.
func (h *processHandle) dead() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	if err == unix.EINTR {
		return false, nil
	}
	return n > 0, os.NewSyscallError("poll", err)
}

func (h *processHandle) close() { unix.Close(h.fd) }
