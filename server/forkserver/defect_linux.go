package forkserver

import (
	"os"
	"sync"

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
