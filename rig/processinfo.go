// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"forkrig/rig/observe"
)

// Info reads the state of the process. The error wraps os.ErrNotExist once the
// process has ended and was waited for.
func (p *Process) Info() (ProcessInfo, error) {
	if !p.Running() {
		return ProcessInfo{}, p.errEnded()
	}
	return observe.ReadProcess(p.PID)
}

// errEnded keeps the rig from reading about another process that got the number
// of one that was waited for.
func (p *Process) errEnded() error { return fmt.Errorf("%v has ended: %w", p, os.ErrNotExist) }

// Descendants returns the children of the process, their children and so on,
// zombies included, in order of their numbers. A descendant whose parent ended
// belongs to the sandbox's init: see [Host.Processes]. A process that has ended
// has none.
func (p *Process) Descendants() (ProcessInfos, error) {
	if !p.Running() {
		return nil, nil
	}
	s, err := look(fmt.Sprintf("list descendants of %v", p), p.family())
	if err != nil {
		return nil, err
	}
	return p.descendantsIn(s), nil
}

// family asks for the descendants of the process. They may be on no host: a process may
// have a network namespace made for itself.
func (p *Process) family() observe.Query {
	return observe.Query{Processes: []*observe.Host{p.Host.observed}, Others: true}
}

func (p *Process) descendantsIn(s *observe.Snapshot) ProcessInfos {
	if !p.Running() { // its number may be another's
		return nil
	}
	return s.Descendants(p.PID)
}

// AwaitDescendants waits until seen says yes to the descendants of the process,
// and returns them. what names the expectation in a few words.
func (p *Process) AwaitDescendants(ctx context.Context, what string, seen func(ProcessInfos) bool) (ProcessInfos, error) {
	var found ProcessInfos
	began := time.Now()
	err := awaitObserved(ctx, fmt.Sprintf("%s of %v", what, p), p.family(), func(s *observe.Snapshot) (bool, fmt.Stringer, error) {
		found = p.descendantsIn(s)
		return seen(found), found, nil
	})
	p.Host.lab.Journal.waited(began, p.who(), err, "%s", what)
	return found, err
}

// Processes returns the processes of the host, in order of their numbers: those
// that run in its network namespace, orphans and daemons included, and the
// zombies whose parent is one of these. (A zombie itself has no namespace any more.)
// A process that moves to another namespace is found there a second later.
func (h *Host) Processes() (ProcessInfos, error) {
	if err := h.lab.checkOpen("list processes of " + h.Name); err != nil {
		return nil, err
	}
	return h.processes()
}

// processes is [Host.Processes] also for a lab that is ending.
func (h *Host) processes() (ProcessInfos, error) {
	s, err := look("list processes of "+h.Name, observe.Query{Processes: []*observe.Host{h.observed}})
	if err != nil {
		return nil, err
	}
	return h.processesIn(s)
}

// AwaitProcesses waits until seen says yes to the processes of the host, and
// returns them. what names the expectation in a few words.
func (h *Host) AwaitProcesses(ctx context.Context, what string, seen func(ProcessInfos) bool) (ProcessInfos, error) {
	return awaitOn(ctx, h, what, "processes", observe.Query{Processes: []*observe.Host{h.observed}}, h.processesIn, seen)
}

// stillThere calls read, which reads about a process by its number, and makes
// sure that the number still belonged to that process afterwards.
func stillThere(info ProcessInfo, read func() error) error {
	err := read()
	now, nowErr := observe.ReadProcess(info.PID)
	if observe.IsGone(err) || observe.IsGone(nowErr) || nowErr == nil && !now.Same(info) {
		return fmt.Errorf("%s pid %d has ended: %w", info.Name, info.PID, os.ErrNotExist)
	}
	return errors.Join(err, nowErr)
}
