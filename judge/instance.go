// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/inject"
	"forkrig/rig/observe"
)

// Instance is a started subject that listens.
type Instance struct {
	Case     *Case
	Process  *rig.Process // what was started; it may have left a daemon and ended
	Listener rig.Socket
	// Own are the processes it had before its first connection: the listener,
	// helpers, and workers that were started in advance.
	Own rig.ProcessInfos
	// preForked says that several of these accept connections.
	preForked bool
	// daemon says that the process that was started had ended when another one listened.
	daemon bool
	// session has the calls of a start that is [Launch.Watched]; nil where there is none.
	session *inject.Session
}

// Start starts the subject and waits until it listens and has come to rest. A subject that
// does not listen fails the check with causeOfFailure or, where that is "", breaks it.
func (c *Case) Start(causeOfFailure string) *Instance {
	s, err := c.TryStart(Launch{})
	if err != nil && causeOfFailure != "" {
		c.Fail(causeOfFailure, "the restarted subject does not listen: %v", StartFailure(err))
	}
	c.Must(err)
	return s
}

// Launch says how a subject is started.
type Launch struct {
	// Own is how many processes it has before its first connection, where that is known.
	// With 0 the start waits for rest, which takes longer.
	Own int
	// Limited runs it as [LimitedUser], because the kernel does not limit the processes of
	// root, with capabilities that do not lift that limit: it may read any file, listen on
	// any port and become another user. A subject with a user of its own keeps it; a sandbox
	// made without root has one user only, who is limited.
	Limited bool
	// Watched traps rt_sigaction(2), so that it is known which handlers have SA_RESTART. Where
	// the machine lacks [inject.FeatureSeccompNotify] the subject is started without.
	Watched bool
}

// LimitedUser is a user whose number of processes the kernel limits.
const LimitedUser = "65534"

// limitedCapabilities are CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_SETGID, CAP_SETUID and
// CAP_NET_BIND_SERVICE (capabilities(7)). A process with CAP_SYS_ADMIN or CAP_SYS_RESOURCE
// would have no limit (RLIMIT_NPROC in getrlimit(2)).
var limitedCapabilities = []uintptr{0, 1, 6, 7, 10}

// TryStart is [Case.Start] where a subject that does not listen is an error.
func (c *Case) TryStart(how Launch) (*Instance, error) {
	command, err := c.Command(how)
	if err != nil {
		return nil, err
	}
	before, err := c.Host.Processes()
	if err != nil {
		return nil, err
	}
	c.started(before)
	var missing *rig.MissingError
	if how.Watched {
		session, err := inject.Start(c.Context(), c.Host, command)
		if err == nil {
			c.stall.answeredBy(session)
			s, err := c.await(session.Process, before, how.Own)
			if err == nil {
				s.session = session
			}
			return s, err
		}
		if !errors.As(err, &missing) && !errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
	}
	p, err := c.Host.Start(command)
	if err != nil {
		return nil, err
	}
	return c.await(p, before, how.Own)
}

// Command returns the command of one start of the subject, which gets a directory of its own
// where it wants one.
func (c *Case) Command(how Launch) (command rig.Command, err error) {
	user, capabilities := c.Subject.User, []uintptr(nil)
	if how.Limited && user == "" && !rig.Rootless() {
		user, capabilities = LimitedUser, limitedCapabilities
	}
	dir := ""
	if c.Subject.has("{dir}") {
		if dir, err = c.Lab.MakeDirectory(user); err != nil {
			return command, err
		}
	}
	c.dir = dir
	command = c.Subject.At(c.Address, dir)
	command.User, command.Capabilities = user, capabilities
	return command, nil
}

// await waits until what was started listens. Its processes are those that were not there
// before. own is that of [Launch].
func (c *Case) await(p *rig.Process, before rig.ProcessInfos, own int) (*Instance, error) {
	s := &Instance{Case: c, Process: p}
	c.mu.Lock()
	c.servers = append(c.servers, s)
	c.mu.Unlock()
	ready := c.Subject.Ready
	if ready == 0 {
		ready = defaultReady
	}
	var err error
	if s.Listener, err = c.awaitListen(p, rig.Scaled(ready)); err != nil {
		return nil, err
	}
	readOwn := func() (awake bool, err error) {
		all, err := c.Host.Processes()
		s.Own = nil
		for _, info := range all.Alive() {
			if !slices.ContainsFunc(before, info.Same) {
				s.Own = append(s.Own, info)
				awake = awake || info.State != rig.Sleeping
			}
		}
		return awake, err
	}
	if own == 0 {
		c.AwaitRest()
		_, err = readOwn()
	} else {
		// A subject that sleeps has opened its descriptors, and waits for a client.
		_, err = c.Until("the subject asleep", func() (bool, string, error) {
			awake, err := readOwn()
			return len(s.Own) >= own && !awake, s.Own.String(), err
		})
		if Hopeless(err) && len(s.Own) > 0 {
			err = nil // it has fewer than it had once, or is never at rest
		}
	}
	if err == nil && len(s.Own) == 0 {
		err = errors.New("no process of the subject is left")
	}
	if err != nil {
		return nil, err
	}
	s.daemon = !p.Running()
	if err := c.settlePort(s); err != nil {
		return nil, err
	}
	s.preForked = len(s.Own) > 1 && len(s.Listeners()) > 1
	return s, nil
}

// awaitListen waits until what was started listens, for as long as it may take, and up to
// patienceWithStart times as long while it still does something, as when it waits for a processor.
func (c *Case) awaitListen(p *rig.Process, ready time.Duration) (rig.Socket, error) {
	const patienceWithStart = 4
	began := time.Now()
	var late error // says how long the subject may take
	from := time.Duration(0)
	for longest := ready; ; longest = observe.MaxGap {
		ctx, cancel := context.WithTimeout(c.Context(), longest)
		listener, err := c.Host.AwaitListen(ctx, p, c.Subject.ListenPort())
		cancel()
		if !errors.Is(err, rig.ErrNotObserved) || c.Context().Err() != nil {
			return listener, err
		}
		if late == nil {
			late, from = err, c.stall.now()
		}
		if still, err := c.stall.stillFor(from); err != nil || still >= restTime || time.Since(began) >= patienceWithStart*ready {
			return listener, late
		}
	}
}

// IsOwn says whether the process was there before the first connection.
func (s *Instance) IsOwn(info rig.ProcessInfo) bool { return slices.ContainsFunc(s.Own, info.Same) }

// Listeners returns those of the processes it had from the start that hold a
// socket that listens on the port.
func (s *Instance) Listeners() rig.ProcessInfos {
	sockets, err := s.Case.PortSockets()
	s.Case.Must(err)
	var found rig.ProcessInfos
	for _, info := range s.Own {
		fds, err := s.Case.Host.FDs(info)
		if err == nil && slices.ContainsFunc(sockets.In(rig.Listening), func(k rig.Socket) bool { return fds.Socket(k.Inode) }) {
			found = append(found, info)
		}
	}
	return found
}

// ListenerTargets targets the processes that listen.
func (s *Instance) ListenerTargets() []rig.Target {
	return s.Case.Targets("the listener", s.Listeners())
}

// OwnTargets targets all processes that were there before the first connection.
func (s *Instance) OwnTargets() []rig.Target {
	return s.Case.Targets("the listener and its helpers", s.Own)
}

// WorkerTargets targets all processes that came with connections, and those that will.
func (s *Instance) WorkerTargets() []rig.Target {
	return []rig.Target{s.Case.Host.Matching("the workers", func(i rig.ProcessInfo) bool { return !s.IsOwn(i) })}
}

// Freeze stops the listener and its helpers until thaw is called. It returns when they have
// stopped: until then an accept that waits may still take a connection.
func (s *Instance) Freeze() (thaw func()) { return s.Case.Apply(fault.Stop{Targets: s.OwnTargets()}) }

// Terminate sends SIGTERM to the first process, as an administrator would.
func (s *Instance) Terminate() {
	head := rig.ProcessInfos{s.Head()}
	s.Case.Apply(fault.Signal{Signal: syscall.SIGTERM, Targets: s.Case.Targets("the first process", head)})
	s.Case.endedByCheck()
}

// Head is the first process: the oldest of those that were there before the first
// connection.
func (s *Instance) Head() rig.ProcessInfo {
	return slices.MinFunc(s.Own, func(a, b rig.ProcessInfo) int {
		if a.StartedBefore(b) {
			return -1
		}
		return 1
	})
}

// NeutralSignals are the signals that the subject should survive: those that no server takes
// for a command, where a listener catches them, and those that the user named, whether or not
// it does.
func (s *Instance) NeutralSignals() []syscall.Signal {
	var caught rig.SignalSet
	for _, info := range s.Listeners() {
		if masks, err := s.Case.Host.Signals(info); err == nil {
			caught |= masks.Caught
		}
	}
	var signals []syscall.Signal
	for _, signal := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGCONT} {
		if caught.Has(signal) {
			signals = append(signals, signal)
		}
	}
	for _, signal := range s.Case.Subject.StormSignals {
		if !slices.Contains(signals, signal) {
			signals = append(signals, signal)
		}
	}
	return signals
}

// Role says what a process is to the subject: the listener, a helper or a worker.
func (s *Instance) Role(info rig.ProcessInfo) string {
	switch {
	case slices.ContainsFunc(s.Listeners(), info.Same):
		return "the listener"
	case s.IsOwn(info):
		return "a helper"
	}
	return "a worker"
}

// Describe lists processes with their roles, and says since when they are there.
func (s *Instance) Describe(l rig.ProcessInfos) string {
	var parts []string
	for _, info := range l {
		parts = append(parts, fmt.Sprintf("pid %d (%s), %s, started %v ago", info.PID, info.Name, s.Role(info), info.Age.Round(100*time.Millisecond)))
	}
	return strings.Join(parts, "; ")
}

// Worker returns the processes that serve the connection and were not there
// before the first one. It skips the check where there is none.
func (s *Instance) Worker(k *Conn) rig.ProcessInfos {
	workers, instead := s.FindWorker(k)
	if len(workers) == 0 {
		s.Case.needsWorker(instead)
	}
	return workers
}

func (c *Case) needsWorker(instead string) {
	c.Skip("the check needs a process for each connection: %s", instead)
}

// FindWorker returns the processes that serve the connection and were not there before the
// first one. Where there is none, instead says in words how the subject serves.
func (s *Instance) FindWorker(k *Conn) (workers rig.ProcessInfos, instead string) {
	find := func() (holders rig.ProcessInfos, err error) {
		inode, err := k.ServerInode()
		if err != nil || inode == 0 {
			// It may have ended already, and show as a zombie.
			all, listErr := s.Case.Host.Processes()
			workers = slices.DeleteFunc(all.Zombies(), s.IsOwn)
			return nil, errors.Join(err, listErr)
		}
		holders = s.Case.Holders(inode)
		workers = slices.DeleteFunc(slices.Clone(holders), s.IsOwn)
		return holders, nil
	}
	var holders rig.ProcessInfos
	var err error
	if s.Case.AwaitRest() { // it would have forked
		holders, err = find()
		s.Case.Must(err)
	}
	if len(holders) == 0 {
		_, err = s.Case.Until("the worker of a connection", func() (bool, string, error) {
			holders, err = find()
			return len(workers) > 0, "the connection is open in " + s.Describe(holders), err
		})
		if !Hopeless(err) {
			s.Case.Must(err)
		}
	}
	switch {
	case len(workers) > 0:
	case len(holders) == 0:
		instead = "the kernel shows none, because this subject keeps no connection open"
	default:
		instead = s.withoutWorkers()
	}
	return workers, instead
}

// withoutWorkers says in words how the subject serves where no process comes with a connection.
func (s *Instance) withoutWorkers() string {
	if len(s.Own) == 1 {
		return "this subject serves all clients in one process"
	}
	return "this subject serves clients in processes that it had before the first one"
}

// serves is [Instance.withoutWorkers] where the connection is open in such a process now, and ""
// where the kernel does not show that.
func (s *Instance) serves(k *Conn) string {
	inode, err := k.ServerInode()
	if err != nil || inode == 0 {
		return ""
	}
	if holders := s.Case.Holders(inode); len(holders) == 0 || slices.ContainsFunc(holders, func(i rig.ProcessInfo) bool { return !s.IsOwn(i) }) {
		return ""
	}
	return s.withoutWorkers()
}

// MustFork skips the check where the subject has no process for a connection. It uses one
// client, and returns when the worker of that client has ended.
func (s *Instance) MustFork() {
	k := s.Case.MustDial(0)
	s.Case.MustServe(k.Begin())
	s.Worker(k)
	s.Case.MustServe(k.Finish())
	s.AwaitWorkersEnd("its client left")
}

// Listens says whether a socket listens on the port now.
func (c *Case) Listens() bool {
	here, err := c.PortSockets()
	c.Must(err)
	return len(here.In(rig.Listening)) > 0
}

// Listens is [Case.Listens].
func (s *Instance) Listens() bool { return s.Case.Listens() }

// MustListen checks that the subject listens when it is at rest, in a check that is about
// something else: see [Case.MustServe].
func (s *Instance) MustListen() {
	if s.Case.AwaitRest(); !s.ListensOn() {
		s.Case.MustServe(errors.New("the listener has ended" + s.HowItEnded()))
	}
}

// AwaitNoListener waits until no socket listens on the port; a subject may give its workers some
// time, and end them by a timer or an alarm then. Otherwise last is what still
// listens.
func (c *Case) AwaitNoListener() (last string, err error) {
	all, err := c.Host.Processes()
	c.Must(err)
	return c.UntilTimer(all.Alive(), "the end of listening", func() (bool, string, error) {
		here, err := c.PortSockets()
		left := here.In(rig.Listening)
		return len(left) == 0, left.String(), err
	})
}

// ListensOn waits for the subject to listen as long as it has a process, and says whether it
// does. Some servers close the listening socket when resources are short, and open it again
// later.
func (c *Case) ListensOn() (listens bool) {
	_, err := c.Until("the subject to listen", func() (bool, string, error) {
		processes, err := c.Host.Processes()
		if err != nil {
			return false, "", err
		}
		here, err := c.PortSockets()
		listens = len(here.In(rig.Listening)) > 0
		return listens || len(processes.Alive()) == 0, "no process listens on the port", err
	})
	return err == nil && listens
}

// ListensOn is [Case.ListensOn].
func (s *Instance) ListensOn() bool { return s.Case.ListensOn() }

// MustSurvive checks that the subject listens and serves a new client when it is at rest: it
// may notice what was done to it after it has served another client. It waits for a subject that
// listens again after a moment.
func (s *Instance) MustSurvive(what, cause string) {
	s.Case.AwaitRest()
	err := s.Case.Visit(0)
	if err == nil {
		return
	}
	if !s.ListensOn() {
		s.Case.Fail(cause, "%s ends the listener%s", what, s.HowItEnded())
	}
	if err = s.Case.Visit(0); err != nil {
		s.Case.Fail(cause, "after %s a new client is not served: %v", what, err)
	}
}

// HowItEnded says how the process that was started ended, such as " (exit status 1)", or is
// "" where it runs.
func (s *Instance) HowItEnded() string {
	if s.Process.Running() {
		// It may have ended just now.
		if all, err := s.Case.Host.Processes(); err != nil || len(all.Alive()) > 0 {
			return ""
		}
	}
	exit, err := s.Process.Wait(s.Case.Context())
	if err != nil {
		return ""
	}
	return " (" + exit.String() + ")"
}

// StartFailure says in few words why a subject that was started does not listen. It leaves
// out numbers that differ between families: the evidence has them.
func StartFailure(err error) string {
	if ended := new(rig.NotListeningError); errors.As(err, &ended) {
		return FirstLine(ended)
	}
	if errors.Is(err, rig.ErrNotObserved) {
		return "it runs, but does not listen in time (see -ready)"
	}
	return FirstLine(err)
}

// FirstLine is the first line of an error: the others belong to the evidence.
func FirstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// PortSockets returns the sockets of the subject's host on the subject's port.
func (c *Case) PortSockets() (rig.Sockets, error) {
	sockets, err := c.Host.Sockets()
	return sockets.On(c.Subject.ListenPort()), err
}
