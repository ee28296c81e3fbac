// SPDX-License-Identifier: Apache-2.0

// Package pipes does to pipes what package os does not: it fills one that takes a process's
// output, and it closes an end so that no copy is left.
package pipes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Read reads what is in the pipe now; 0 bytes and no error mean that there is
// nothing. It heeds no deadline.
func Read(r *os.File, b []byte) (n int, err error) {
	controlErr := control(r, func(fd int) {
		for {
			n, err = unix.Read(fd, b)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				n, err = 0, nil
			case err == nil && n == 0:
				err = io.EOF
			case err != nil:
				n, err = 0, os.NewSyscallError("read", err)
			}
			return
		}
	})
	return n, errors.Join(controlErr, err)
}

// Fill fills an empty pipe to the brim and returns with how many bytes, or 0
// where it was not empty.
//
// The pipe is made as small as can be first, one page. So one write either fills
// all of it or, where anything is there, none. It goes through a description of its
// own (proc_pid_fd(5)), because O_NONBLOCK belongs to the description, and that of
// the process must not have it.
func Fill(r *os.File) (size int, err error) {
	controlErr := control(r, func(fd int) {
		size, err = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, os.Getpagesize())
		if err == unix.EBUSY { // there is more in it
			size, err = 0, nil
			return
		}
		if err != nil {
			size, err = 0, fmt.Errorf("make the pipe small: %w", os.NewSyscallError("fcntl", err))
			return
		}
		var w int
		w, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			size, err = 0, fmt.Errorf("open the pipe for writing: %w", err)
			return
		}
		defer unix.Close(w)
		var n int
		n, err = unix.Write(w, make([]byte, size))
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			size, err = 0, nil
		case err != nil:
			size, err = 0, os.NewSyscallError("write", err)
		case n != size:
			size, err = 0, fmt.Errorf("an empty pipe of %d bytes took %d", size, n)
		}
	})
	return size, errors.Join(controlErr, err)
}

// Empty takes out of the pipe what Fill put there, and gives it the
// capacity of a new one.
func Empty(r *os.File, size int) error {
	rest := make([]byte, size)
	for len(rest) > 0 {
		n, err := Read(r, rest)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%d of %d bytes that filled the pipe are not there", len(rest), size)
		}
		rest = rest[n:]
	}
	const newPipe = 16 // pages (pipe(7))
	return control(r, func(fd int) {
		// A user with very many pipes may not make one larger (pipe(7)), and one
		// with a smaller pipe writes as well.
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, newPipe*os.Getpagesize())
	})
}

// control calls f with the file's descriptor.
func control(file *os.File, f func(fd int)) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { f(int(fd)) })
}

// closing is how long another process may have a copy of an end that is closed. A process
// that is being started has copies until its program is executed.
const closing = 10 * time.Second

// CloseReader closes the reading end and waits until no process has it: from then on
// writing gives EPIPE.
func CloseReader(r *os.File) error { return closeEnd(r, unix.O_WRONLY, unix.POLLERR) }

// CloseWriter closes the writing end and waits until no process has it: from then on
// reading comes to the end.
func CloseWriter(w *os.File) error { return closeEnd(w, unix.O_RDONLY, unix.POLLHUP) }

// closeEnd opens the other end for itself, which sees the last copy go (poll(2)).
func closeEnd(file *os.File, other int, gone int16) error {
	fd, openErr := -1, error(nil)
	err := control(file, func(n int) {
		fd, openErr = unix.Open(fmt.Sprintf("/proc/self/fd/%d", n), other|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err = errors.Join(err, openErr); err != nil {
		return errors.Join(fmt.Errorf("open the other end of the pipe: %w", err), file.Close())
	}
	defer unix.Close(fd)
	if err := file.Close(); err != nil {
		return err
	}
	for deadline := time.Now().Add(closing); ; {
		left := time.Until(deadline)
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, max(int(left.Milliseconds()), 0))
		switch {
		case err != nil && err != unix.EINTR:
			return os.NewSyscallError("poll", err)
		case n > 0 && fds[0].Revents&gone != 0:
			return nil
		case left <= 0:
			return fmt.Errorf("close the end of a pipe: another process has it open for %v", closing)
		}
	}
}
