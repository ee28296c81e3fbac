// SPDX-License-Identifier: Apache-2.0

// Package fullpipe fills the pipe that takes a process's output, and empties it again.
package fullpipe

import (
	"errors"
	"fmt"
	"io"
	"os"

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
