package forkserver

import (
	"os"
	"sync"
	"syscall"
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

// hungUp waits 20 ms for the client to end its side of the connection, and says
// whether it did, although there may be input before that. It runs in forked workers too, by the rules
// in fork_linux.go.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hungUp(conn int) bool {
	at := unix.PollFd{Fd: int32(conn), Events: unix.POLLRDHUP}
	moment := unix.Timespec{Nsec: 20_000_000}
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&at)), 1, uintptr(unsafe.Pointer(&moment)), 0, 0, 0)
	return errno == 0 && n == 1
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
