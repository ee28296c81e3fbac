package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
)

// server is a started subject that listens.
type server struct {
	c        *Case
	process  *rig.Process // what was started; it may have left a daemon and ended
	listener rig.Socket
	// own are the processes it had before its first connection: the listener,
	// helpers, and workers that were started in advance.
	own rig.ProcessInfos
}

// start starts the subject, waits until it listens and has come to rest. A
// subject that does not listen fails the check with that cause, or where it is
// "" breaks it.
func (c *Case) start(causeOfFailure string) *server {
	s, err := c.tryStart()
	if err != nil && causeOfFailure != "" {
		c.fail(causeOfFailure, "the subject does not listen: %v", whyNot(err))
	}
	c.must(err)
	return s
}

func (c *Case) tryStart() (*server, error) { return c.tryStartAs(c.subject.At(c.address)) }

func (c *Case) tryStartAs(command rig.Command) (*server, error) {
	p, err := c.host.Start(command)
	if err != nil {
		return nil, err
	}
	return c.awaitServer(p)
}

// awaitServer waits until what was started listens.
func (c *Case) awaitServer(p *rig.Process) (*server, error) {
	s := &server{c: c, process: p}
	c.mu.Lock()
	c.servers = append(c.servers, s)
	c.mu.Unlock()
	ready := c.subject.Ready
	if ready == 0 {
		ready = defaultReady
	}
	var err error
	if s.listener, err = c.awaitListen(p, rig.Scaled(ready)); err != nil {
		return nil, err
	}
	c.settled()
	if s.own, err = c.host.Processes(); err != nil {
		return nil, err
	}
	s.own = s.own.Alive()
	return s, nil
}

// awaitListen waits until what was started listens, for as long as it may take and
// then while it still does something, as it does when it waits for a processor.
func (c *Case) awaitListen(p *rig.Process, ready time.Duration) (rig.Socket, error) {
	began := time.Now()
	for longest := ready; ; longest = rig.Scaled(rig.Settling) {
		from, _, _, _ := c.pulse.look() // an error comes again
		ctx, cancel := context.WithTimeout(c.tb.Context(), longest)
		listener, err := c.host.AwaitListen(ctx, p, c.subject.port())
		cancel()
		if !errors.Is(err, rig.ErrNotObserved) || time.Since(began) >= rig.Patience() || c.tb.Context().Err() != nil {
			return listener, err
		}
		if longest == ready {
			continue // nobody has looked yet
		}
		if still, lookErr := c.pulse.stillFor(from); lookErr != nil || still > 0 {
			return listener, err
		}
	}
}

// isOwn says whether the process was there before the first connection.
func (s *server) isOwn(info rig.ProcessInfo) bool { return slices.ContainsFunc(s.own, info.Same) }

// listeners returns those of the processes it had from the start that hold a
// socket that listens on the port.
func (s *server) listeners() rig.ProcessInfos {
	sockets, err := s.c.onPort()
	s.c.must(err)
	var found rig.ProcessInfos
	for _, info := range s.own {
		fds, err := s.c.host.FDs(info)
		if err == nil && slices.ContainsFunc(sockets.In(rig.Listening), func(k rig.Socket) bool { return fds.Socket(k.Inode) }) {
			found = append(found, info)
		}
	}
	return found
}

// listening targets the processes that listen.
func (s *server) listening() rig.Target {
	listeners := s.listeners()
	return s.c.host.Matching("the listener", func(i rig.ProcessInfo) bool {
		return slices.ContainsFunc(listeners, i.Same)
	})
}

// starters targets all processes that were there before the first connection.
func (s *server) starters() rig.Target {
	return s.c.host.Matching("the listener and its helpers", s.isOwn)
}

// serving targets all processes that came with connections.
func (s *server) serving() rig.Target {
	return s.c.host.Matching("the workers", func(i rig.ProcessInfo) bool { return !s.isOwn(i) })
}

// head is the process to send signals to as an administrator would: the oldest
// of those that were there before the first connection.
func (s *server) head() rig.ProcessInfo {
	return slices.MinFunc(s.own, func(a, b rig.ProcessInfo) int {
		if a.StartedBefore(b) {
			return -1
		}
		return 1
	})
}

// caught are the signals that one of the listeners catches.
func (s *server) caught() rig.SignalSet {
	var caught rig.SignalSet
	for _, info := range s.listeners() {
		if masks, err := s.c.host.Signals(info); err == nil {
			caught |= masks.Caught
		}
	}
	return caught
}

// neutral are the signals that may be sent to any server, as none takes them for
// a command, and which the listener catches; and those that the user named, which
// it should survive in whatever way.
func (s *server) neutral() []syscall.Signal {
	caught := s.caught()
	var signals []syscall.Signal
	for _, signal := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGCONT} {
		if caught.Has(signal) {
			signals = append(signals, signal)
		}
	}
	for _, signal := range s.c.subject.StormSignals { // whether it catches them or not
		if !slices.Contains(signals, signal) {
			signals = append(signals, signal)
		}
	}
	return signals
}

// holders returns the processes of the host that have the socket open.
func (c *Case) holders(inode uint32) rig.ProcessInfos {
	processes, err := c.host.Processes()
	c.must(err)
	var found rig.ProcessInfos
	for _, info := range processes.Alive() {
		fds, err := c.host.FDs(info)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && fds.Socket(inode) {
			found = append(found, info)
		}
	}
	return found
}

// role says what a process is to the server.
func (s *server) role(info rig.ProcessInfo) string {
	switch {
	case slices.ContainsFunc(s.listeners(), info.Same):
		return "the listener"
	case s.isOwn(info):
		return "a helper"
	}
	return "a worker"
}

// described lists processes with their roles.
func (s *server) described(l rig.ProcessInfos) string {
	var parts []string
	for _, info := range l {
		parts = append(parts, fmt.Sprintf("pid %d (%s), %s", info.PID, info.Name, s.role(info)))
	}
	return strings.Join(parts, "; ")
}

// worker returns the processes that serve the connection and were not there
// before the first one. It skips the check where there is none: the subject
// serves without a process per connection.
func (s *server) worker(k *conn) rig.ProcessInfos {
	var workers rig.ProcessInfos
	_, err := s.c.until("the worker of a connection", func() (bool, string, error) {
		inode, err := k.serverInode()
		if err != nil || inode == 0 {
			// It may have ended already, and show as a zombie.
			all, listErr := s.c.host.Processes()
			workers = rig.ProcessInfos{}
			for _, info := range all.Zombies() {
				if !s.isOwn(info) {
					workers = append(workers, info)
				}
			}
			return len(workers) > 0, "nobody has the connection", errors.Join(err, listErr)
		}
		holders := s.c.holders(inode)
		workers = nil
		for _, info := range holders {
			if !s.isOwn(info) {
				workers = append(workers, info)
			}
		}
		return len(workers) > 0, "the connection is open in " + s.described(holders), nil
	})
	switch {
	case errors.Is(err, errStuck):
		s.c.skip("no process of a connection's own was seen: it serves without one, or it ends at once")
	case err != nil:
		s.c.must(err)
	}
	return workers
}

// forks skips the check where the subject has no process for a connection. It
// returns when the client that found out has left.
func (s *server) forks() {
	k := s.c.mustDial(0)
	s.c.mustServe(k.begin())
	s.worker(k)
	s.c.mustServe(k.finish())
	s.workersEnd("its client left")
}

// converses checks that a new client is served, and fails the check otherwise.
func (s *server) converses(cause string) {
	if err := s.c.visit(0); err != nil {
		s.c.fail(cause, "a new client is not served: %v", err)
	}
}

// listens says whether anybody listens on the port now.
func (s *server) listens() bool {
	here, err := s.c.onPort()
	s.c.must(err)
	return len(here.In(rig.Listening)) > 0
}

// listensOn waits for the subject to listen, and says whether it does. Some
// servers close the listening socket in hard times and open it again later.
func (s *server) listensOn() bool {
	_, err := s.c.until("listening", func() (bool, string, error) { return s.listens(), "nobody listens", nil })
	return err == nil
}

// survives checks that the subject listens and serves. One that needs a moment
// until it listens again is given it.
func (s *server) survives(what, cause string) {
	err := s.c.visit(0)
	if err == nil {
		return
	}
	if !s.listensOn() {
		s.c.fail(cause, "%s ends the listener%s", what, s.howItEnded())
	}
	if err = s.c.visit(0); err != nil {
		s.c.fail(cause, "after %s a new client is not served: %v", what, err)
	}
}

// howItEnded says how the process that was started ended, if it did.
func (s *server) howItEnded() string {
	if s.process.Running() {
		return ""
	}
	exit, err := s.process.Wait(s.c.tb.Context())
	if err != nil {
		return ""
	}
	return " (" + exit.String() + ")"
}

// whyNot says in few words why what was started does not listen, without the
// numbers that differ between families: the evidence has them.
func whyNot(err error) string {
	line := firstLine(err)
	if i := strings.LastIndex(line, "the process ended"); i >= 0 {
		return line[i:]
	}
	if errors.Is(err, rig.ErrNotObserved) {
		return "it runs, and does not listen within its time"
	}
	return line
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
