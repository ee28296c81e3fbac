// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pause is how long the server lets go of accept when it is short of
// descriptors or memory, unless a worker ends earlier.
const pause = 50 * time.Millisecond

// server accepts connections and gives each a worker.
type server struct {
	cfg      config
	log      *slog.Logger
	counts   Counts
	memory   memory
	workers  *workers
	listener *listener
	stopping chan struct{} // closed when the first signal to stop has arrived
	reopen   atomic.Bool   // the listener was shut down to be opened again; only with a defect
}

// run runs the server until a signal stops it or an error ends it.
func run(cfg config, log *slog.Logger) (Counts, error) {
	runtime.LockOSThread() // for life: workers are killed when the thread that started them ends
	s := &server{cfg: cfg, log: log, workers: newWorkers(log, cfg.defect), stopping: make(chan struct{})}
	err := s.run()
	s.counts.Reaped, s.counts.Killed = s.workers.counted()
	return s.counts, err
}

func (s *server) run() error {
	settleRuntime()
	signals, err := catchSignals(s.cfg.defect)
	if err != nil {
		return err
	}
	if s.cfg.defect == ClockFromBoot {
		if err := checkClock(); err != nil {
			return err
		}
	}
	s.listener, err = listen(s.cfg.listen, s.cfg.backlog, s.cfg.defect)
	if err != nil {
		return err
	}
	if err := s.memory.trim(); err != nil {
		s.log.Debug("memory-shared", "error", err.Error())
	}
	// From here on the server opens nothing of its own any more.
	s.log.Info("listening", "address", s.listener.address.String(), "pid", os.Getpid(),
		"service", s.cfg.service.String(), "worker", s.cfg.worker.String(), "backlog", s.cfg.backlog)
	go s.workers.reapOn(signals.child)
	go s.reloadOn(signals.hup)
	if s.cfg.defect != IgnoreSIGTERM {
		go s.stopOn(signals.stop)
	}

	err = s.accept()
	s.listener.close()
	if s.cfg.leaveWorkers {
		return err
	}
	// A signal asks for an orderly end. After an error, or when it is repeated, there is none.
	if err == nil {
		err = s.workers.drain(s.cfg.grace, signals.stop)
	}
	s.workers.kill()
	return err
}

// reloadOn says that the configuration, which is the command line, was read again.
func (s *server) reloadOn(hup <-chan os.Signal) {
	for asked := range hup {
		s.reloadWrongly()
		s.log.Info("reloaded", "signal", signalName(asked))
	}
}

// stopOn stops the listener on the first signal.
func (s *server) stopOn(stop <-chan os.Signal) {
	asked := <-stop
	s.log.Info("stopping", "signal", signalName(asked), "workers", s.workers.count())
	close(s.stopping)
	s.listener.stop()
}

// accept accepts connections until the server is asked to stop, and returns
// nil then, or until the listener is lost.
func (s *server) accept() error {
	for {
		s.awaitRoom()
		conn, peer, err := unix.Accept4(s.listener.fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			s.counts.Accepted++
			err = s.serve(conn, peer)
		case s.listener.isStopped():
			return nil
		case s.reopen.Swap(false):
			err = s.listener.reopen(s.cfg.backlog)
		case err == unix.EINTR:
			s.counts.Interrupted++
			if s.cfg.defect == HandlerChangesErrno {
				err = afterHandler(err)
			}
			if s.cfg.defect != ExitOnEINTR && err == unix.EINTR {
				continue
			}
			err = os.NewSyscallError("accept4", err)
		default:
			err = s.afterAcceptError(err)
		}
		if err != nil {
			return err
		}
	}
}

// afterAcceptError does what has to be done before accept is called again. It
// returns an error if it is of no use to call it again.
func (s *server) afterAcceptError(err error) error {
	s.counts.AcceptErrors++
	if isShortage(err) {
		s.workers.short.Store(true)
	}
	if s.cfg.defect == SpinOnEMFILE && isShortage(err) {
		return nil // and not a word, which would fill the disk with the log
	}
	s.log.Warn("accept-error", "errno", errnoName(err), "error", err.Error())
	if s.cfg.defect == ExitOnAcceptError || s.cfg.defect == ExitOnENFILE && err == unix.ENFILE {
		return os.NewSyscallError("accept4", err)
	}
	if s.cfg.defect == DeafAfterEMFILE && err == unix.EMFILE {
		<-s.stopping
		return nil
	}
	switch err {
	case unix.EINVAL, unix.EBADF, unix.ENOTSOCK: // the listener is lost, and would be for ever
		return os.NewSyscallError("accept4", err)
	case unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENETUNREACH, unix.ENONET,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
		// Errors of one connection, which is gone now (accept(2), "Error handling").
	default:
		// Shortages and what is not known: the connection still waits, and the same
		// call would fail again at once.
		s.pause()
	}
	return nil
}

// isShortage reports whether err of accept says that the process or the system
// is short of something.
func isShortage(err error) bool {
	return err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOBUFS || err == unix.ENOMEM
}

// awaitRoom waits until there are fewer workers than the limit, or the server
// is asked to stop. Meanwhile new connections wait in the backlog.
func (s *server) awaitRoom() {
	for told := false; s.cfg.maxWorkers > 0 && s.workers.count() >= s.cfg.maxWorkers; told = true {
		if !told {
			s.log.Info("at-limit", "workers", s.cfg.maxWorkers)
		}
		select {
		case <-s.workers.ended:
		case <-s.stopping:
			return
		}
	}
}

// pause waits for a moment, a worker's end or the signal to stop.
func (s *server) pause() {
	select {
	case <-time.After(pause):
	case <-s.workers.ended:
	case <-s.stopping:
	}
}

// serve gives the connection a worker. If none can be started, this connection
// is closed and the server goes on.
func (s *server) serve(conn int, peer unix.Sockaddr) error {
	if s.cfg.defect == NoSIGPIPE {
		greet(conn)
	}
	if s.cfg.defect == LeakGoneAfterShortage && s.workers.short.Load() && isGone(conn) {
		return nil
	}
	if s.cfg.defect == Serial {
		return s.serveItself(conn, peer)
	}
	if s.cfg.defect == ExitOnFullBacklog {
		if err := s.listener.checkBacklog(); err != nil {
			return err
		}
	}
	if s.cfg.defect == AbortsOnENOMEM {
		if err := takeMemory(); err != nil {
			return err
		}
	}
	start := func() (pid int, err error) {
		pid, err = s.startWorker(conn)
		s.release(conn, err == nil)
		return pid, err
	}
	err := s.workers.start(start, func(pid int) { s.logAccepted(peer, pid) })
	if err != nil {
		s.counts.ForkFailures++
		s.log.Warn("fork-failed", "errno", errnoName(err), "error", err.Error(), "peer", addrPort(peer).String())
		if s.cfg.defect == ExitOnForkFailure {
			return err
		}
	}
	return nil
}

func (s *server) logAccepted(peer unix.Sockaddr, worker int) {
	if s.log.Enabled(context.Background(), slog.LevelInfo) {
		if s.cfg.defect == HandlerLocks && interruptedSoon() {
			select {} // the handler waits for the lock, and what has the lock for the handler
		}
		s.log.Info("accepted", "peer", addrPort(peer).String(), "worker", worker)
	}
}

// startWorker starts a worker for the connection and returns its process ID.
func (s *server) startWorker(conn int) (pid int, err error) {
	if err := setIdle(conn, s.cfg.idle); err != nil {
		return 0, err
	}
	j := s.cfg.job(conn)
	j.listener = s.listener.fd
	if s.cfg.worker == execModel {
		return execWorker(&s.cfg, j)
	}
	return forkWorker(j, &s.memory)
}

// setIdle makes reads and sends on the connection fail with EAGAIN when they
// have waited for so long; 0 is for ever. It is not set on the listener for the
// connections to inherit, because accept would heed it too.
func setIdle(conn int, idle time.Duration) error {
	if idle == 0 {
		return nil
	}
	limit := unix.NsecToTimeval(idle.Nanoseconds())
	if err := unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
	}
	return os.NewSyscallError("setsockopt SO_SNDTIMEO",
		unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
}

// release closes the server's copy of the connection. The worker's copy must
// be the only one left, or its client never sees the end; without a worker
// there must be none.
func (s *server) release(conn int, hasWorker bool) {
	if s.cfg.defect == ParentKeepsConn && hasWorker || s.cfg.defect == LeakConnOnForkFailure && !hasWorker {
		return
	}
	unix.Close(conn)
}

// errnoName returns the name of the errno in err, such as EMFILE.
func errnoName(err error) string {
	var errno syscall.Errno
	errors.As(err, &errno)
	return unix.ErrnoName(errno)
}

// job is what the worker of connection conn has to know.
func (c *config) job(conn int) job {
	return job{
		conn:    conn,
		server:  os.Getpid(),
		service: c.service,
		once:    c.once,
		outlive: c.leaveWorkers,
		defect:  c.defect,
	}
}
