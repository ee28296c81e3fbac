// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package inject

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/internal/syscalls"
	"forkrig/rig/observe"

	"golang.org/x/sys/unix"
)

// start starts the subject under the shim, and the supervisor.
func (s *Session) start(ctx context.Context, host *rig.Host) (err error) {
	c := s.command
	o := order{}
	if o.Path, err = c.Executable(); err != nil {
		return err
	}
	if o.Ignored, err = readSignalSet(os.Getpid(), "SigIgn"); err != nil {
		return fmt.Errorf("start %s on %s: %w", c, host, err)
	}
	for _, call := range s.calls {
		if number, _ := syscalls.Number(string(call)); number != syscalls.Absent {
			o.Calls = append(o.Calls, number)
		}
	}
	listener, remove, err := listen()
	if err != nil {
		return fmt.Errorf("start %s on %s: %w", c, host, err)
	}
	defer remove()

	shimmed := c
	shimmed.Args = rig.Program("inject", append([]string{listener.Addr().String()}, c.Args...)...).Args
	if c.Name == "" {
		shimmed.Name = filepath.Base(c.Args[0])
	}
	if s.Process, err = host.Start(shimmed); err != nil {
		return err
	}
	c.Name = shimmed.Name
	s.Process.Command = c
	ctx, cancel := context.WithTimeout(ctx, rig.Patience())
	defer cancel()
	if err := s.await(ctx, listener, o); err != nil {
		return errors.Join(err, s.Process.Kill(context.WithoutCancel(ctx)))
	}
	return nil
}

// listen opens the socket by which the shim is told what to do. It has a path,
// since a socket without one belongs to a network namespace, and the subject may
// run as another user.
func listen() (listener *net.UnixListener, remove func(), err error) {
	dir, err := os.MkdirTemp("", "inject")
	if err != nil {
		return nil, nil, fmt.Errorf("make a directory: %w", err)
	}
	address := &net.UnixAddr{Net: "unixpacket", Name: filepath.Join(dir, "shim")}
	if listener, err = net.ListenUnix(address.Net, address); err == nil {
		if err = errors.Join(os.Chmod(dir, 0o711), os.Chmod(address.Name, 0o666)); err != nil {
			listener.Close()
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return listener, func() { listener.Close(); os.RemoveAll(dir) }, nil
}

// await gives the shim its order, takes the filter over, and returns when the
// subject was executed.
func (s *Session) await(ctx context.Context, listener *net.UnixListener, o order) error {
	what := fmt.Sprintf("start %s on %s", s.Process.Name, s.Process.Host)
	past := time.Unix(1, 0)
	heard := make(chan struct{})
	defer close(heard)
	go func() {
		select {
		case <-s.Process.Ended(): // and so it will not connect
		case <-ctx.Done():
		case <-heard:
		}
		_ = listener.SetDeadline(past)
	}()
	conn, err := listener.AcceptUnix()
	if err != nil {
		return fmt.Errorf("%s: %w", what, s.shimError(ctx, err))
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(past) })()

	text, err := json.Marshal(o)
	if err == nil {
		_, err = conn.Write(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, s.shimError(ctx, err))
	}
	supervised := false
	for {
		var tell [tellSize]byte
		control := make([]byte, unix.CmsgSpace(4))
		n, controlLen, _, _, err := conn.ReadMsgUnix(tell[:], control) // its descriptors close on exec
		if n == 0 && supervised && ctx.Err() == nil {
			return nil
		}
		if n < tellSize {
			return fmt.Errorf("%s: %w", what, s.shimError(ctx, err))
		}
		errno := syscall.Errno(binary.NativeEndian.Uint32(tell[4:]))
		switch tell[0] {
		case tellNoFilter:
			return fmt.Errorf("%s: %w", what, explainFilterError(errno))
		case tellNoExec:
			return s.Process.Host.StartError(s.command, &os.PathError{Op: "execve", Path: o.Path, Err: errno})
		}
		fd, err := descriptorIn(control[:controlLen])
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		supervised = true
		go newSupervisor(s, fd).run()
	}
}

func descriptorIn(control []byte) (fd int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, fmt.Errorf("take the filter over: %w", err)
	}
	for _, m := range messages {
		if len(m.Data)%4 != 0 { // what the library would panic at; the kernel sends whole ones
			continue
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return 0, errors.New("take the filter over: the shim sent no descriptor: raise the limit on open files (ulimit -n)")
}

// shimError says why the shim did not answer.
func (s *Session) shimError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the shim did not answer: %w", ctx.Err())
	case err == nil:
		err = errors.New("the shim ended")
	}
	if exit, waitErr := s.Process.Wait(ctx); waitErr == nil {
		err = fmt.Errorf("%w: %v", err, exit)
		if s.Process.Stderr.AwaitEnd(ctx) == nil {
			err = fmt.Errorf("%w: %s", err, strings.Join(s.Process.Stderr.Last(3), "; "))
		}
	}
	return err
}

func explainFilterError(errno syscall.Errno) error {
	missing := &rig.MissingError{Feature: FeatureSeccompNotify, Err: os.NewSyscallError("seccomp", errno)}
	switch errno {
	case unix.ENOSYS, unix.EINVAL:
		missing.Remedy = "run on Linux 5.9 or later with CONFIG_SECCOMP_FILTER"
	case unix.EPERM, unix.EACCES:
		missing.Remedy = "allow seccomp(2) (in a container: --privileged or --security-opt seccomp=unconfined)"
	case unix.EBUSY:
		missing.Remedy = "run outside of the container or sandbox that uses seccomp notification itself: only one filter can"
	default:
		return fmt.Errorf("install the filter: %w", missing.Err)
	}
	return missing
}

// notCaught says whether the process is there and does not catch the signal.
func notCaught(pid int, signal syscall.Signal) bool {
	caught, err := readSignalSet(pid, "SigCgt")
	return err == nil && !caught.Has(signal)
}

// readSignalSet reads a field of /proc/PID/status.
func readSignalSet(pid int, field string) (set rig.SignalSet, err error) {
	text, err := readStatus(pid, field)
	mask, parseErr := strconv.ParseUint(text, 16, 64)
	if err = cmp.Or(err, parseErr); err != nil {
		return 0, fmt.Errorf("read %s of process %d: %w", field, pid, err)
	}
	return rig.SignalSet(mask), nil
}

func readStatus(id int, field string) (string, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	if err != nil {
		return "", err
	}
	return observe.StatusField(status, field)
}
