// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/inject"
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

// IsOwn says whether the process was there before the first connection.
func (s *Instance) IsOwn(info rig.ProcessInfo) bool { return slices.ContainsFunc(s.Own, info.Same) }

// Listeners returns those of the processes it had from the start that hold a
// socket that listens on the port.
func (s *Instance) Listeners() rig.ProcessInfos {
	sockets, err := s.Case.PortSockets()
	s.Case.Must(err)
	return s.Case.holding(s.Own, sockets.In(rig.Listening))
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

// Listens says whether a socket listens on the port now.
func (c *Case) Listens() bool {
	here, err := c.PortSockets()
	c.Must(err)
	return len(here.In(rig.Listening)) > 0
}

// MustListen checks that the subject listens when it is at rest, in a check that is about
// something else: see [Case.MustServe].
func (s *Instance) MustListen() {
	if s.Case.AwaitRest(); !s.Case.ListensOn() {
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

// MustSurvive checks that the subject listens and serves a new client when it is at rest: it
// may notice what was done to it after it has served another client. It waits for a subject that
// listens again after a moment.
func (s *Instance) MustSurvive(what, cause string) {
	s.Case.AwaitRest()
	err := s.Case.Visit(0)
	if err == nil {
		return
	}
	if !s.Case.ListensOn() {
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
