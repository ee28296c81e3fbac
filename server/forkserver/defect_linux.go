// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file holds what only a server with a defect does.

// greet sends to the client as a server does that greets with two lines, only
// that the lines are empty: nothing reaches the client. If the client has reset
// the connection, the first send reports it and the second raises SIGPIPE.
func greet(conn int) {
	for range 2 {
		unix.Send(conn, nil, 0)
	}
}

// isGone says whether the client has reset the connection.
func isGone(conn int) bool {
	_, err := unix.Getpeername(conn)
	return err == unix.ENOTCONN
}

// hungUp waits some nanoseconds for the client to end its side of the connection, and says
// whether it did, although there may be input before that. It runs in forked workers too, by the rules
// in fork_linux.go.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hungUp(conn int, wait int64) bool {
	at := unix.PollFd{Fd: int32(conn), Events: unix.POLLRDHUP}
	moment := unix.Timespec{Nsec: wait}
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&at)), 1, uintptr(unsafe.Pointer(&moment)), 0, 0, 0)
	return errno == 0 && n == 1
}

// takeMemory takes 32 MiB of address space and gives them back.
func takeMemory() error {
	memory, err := unix.Mmap(-1, 0, 32<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	return os.NewSyscallError("munmap", unix.Munmap(memory))
}

// checkBacklog returns an error if the backlog was full before the last accept.
// Of a listener, TCP_INFO has the length of the queue, which is one more than the
// backlog when it is full, and the backlog (tcp_get_info in Linux, net/ipv4/tcp.c).
func (l *listener) checkBacklog() error {
	info, err := unix.GetsockoptTCPInfo(l.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return os.NewSyscallError("getsockopt TCP_INFO", err)
	}
	if info.Unacked >= info.Sacked {
		return fmt.Errorf("accept: the backlog of %d was full", info.Sacked)
	}
	return nil
}

// checkClock returns an error if the time since boot is earlier than the one in
// the file $STATE_FILE, and leaves it there for the next start. Without that
// variable it does nothing.
func checkClock() error {
	path := os.Getenv("STATE_FILE")
	if path == "" {
		return nil
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return os.NewSyscallError("clock_gettime", err)
	}
	state, _ := os.ReadFile(path) // there is none at the first start
	if last, err := strconv.ParseInt(string(state), 10, 64); err == nil && now.Nano() < last {
		return fmt.Errorf("start: %v since boot, but the last start was after %v", time.Duration(now.Nano()), time.Duration(last))
	}
	return os.WriteFile(path, []byte(strconv.FormatInt(now.Nano(), 10)), 0o600)
}

// afterHandler is what errno is after a handler that calls waitpid and leaves errno as that
// set it.
func afterHandler(errno error) error {
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err == unix.ECHILD {
		return err
	}
	return errno
}

// interruptedSoon says whether a signal comes within 20 µs, as long as it takes to write a line.
func interruptedSoon() bool {
	return unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil) == unix.EINTR
}

// reloadWrongly does on SIGHUP what a reload must not do.
func (s *server) reloadWrongly() {
	switch s.cfg.defect {
	case ReloadReopens:
		s.reopen.Store(true)
		s.listener.interrupt()
	case ReloadDropsClients:
		s.workers.kill()
	case ReloadLeaksDescriptor:
		_, _ = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0) // at the limit it leaks none
	}
}

// interrupt ends the accept that waits now with EINVAL.
func (l *listener) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	unix.Shutdown(l.fd, unix.SHUT_RD)
}

// reopen closes the listener and opens it again later. The thread that accepts calls it.
func (l *listener) reopen(backlog int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	unix.Close(l.fd)
	time.Sleep(20 * time.Millisecond)
	return l.open(backlog, NoDefect)
}

// serveItself serves the connection in the server's own process. A signal to
// stop the server ends the conversation.
func (s *server) serveItself(conn int, peer unix.Sockaddr) error {
	defer unix.Close(conn)
	if err := setIdle(conn, s.cfg.idle); err != nil {
		return err
	}
	s.logAccepted(peer, os.Getpid())

	served := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-s.stopping:
			unix.Shutdown(conn, unix.SHUT_RDWR)
		case <-served:
		}
	})
	serveInGo(s.cfg.job(conn))
	close(served)
	watching.Wait()
	return nil
}
