// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"forkrig/rig/observe"
)

// AwaitListen waits until the process, a descendant of it or a daemon that it
// left on the host listens on the port, or on any where port is 0, and returns the listening socket. The
// witness is the kernel: a socket in LISTEN on that port whose inode is open in
// such a process. A listener that an older process kept is not taken for it.
// The wait ends early when the process has ended and nothing of it is left.
func (h *Host) AwaitListen(ctx context.Context, p *Process, port uint16) (Socket, error) {
	var found Socket
	gone := 0 // looks at which nothing of it was seen
	where := fmt.Sprintf("port %d", port)
	if port == 0 {
		where = "any port"
	}
	began := time.Now()
	err := awaitObserved(ctx, fmt.Sprintf("%v listening on %s", p, where), h.everything(), func(s *observe.Snapshot) (bool, fmt.Stringer, error) {
		if err := h.lab.checkOpen("list sockets of " + h.Name); err != nil {
			return false, nil, err
		}
		sockets, err := h.socketsIn(s)
		if err != nil {
			return false, nil, err
		}
		all, err := h.processesIn(s)
		if err != nil {
			return false, nil, err
		}
		listeners, offspring := sockets.In(Listening), p.offspringIn(all)
		if port != 0 {
			listeners = listeners.On(port)
		}
		if found = heldBy(s, offspring, listeners); found.State == Listening {
			return true, nil, nil
		}
		// A look goes through the processes one after the other, and may miss both a
		// parent that ends and the child that it has just started.
		if p.wasRunning(s) || len(offspring.Alive()) > 0 || heldByNone(s, all, listeners) {
			gone = 0
		} else if gone++; gone >= 3 {
			p.awaitOutput(ctx)
			return false, nil, &NotListeningError{Exit: p.exit(), output: p.outputTail(6)}
		}
		if len(listeners) == 0 {
			return false, said("nothing listens" + elsewhere(sockets.In(Listening))), nil
		}
		seen := "another process listens: " + listeners.String()
		if _, err := s.FDs(p.started); errors.Is(err, os.ErrPermission) && p.Running() {
			seen += "; but what this one has open cannot be seen: give the rig CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
		}
		return false, said(seen), nil
	})
	h.lab.Journal.waited(began, p.who(), err, "listening on %s", where)
	if errors.Is(err, ErrNotObserved) {
		err = fmt.Errorf("%w\n%s", err, p.outputTail(6))
	}
	return found, err
}

// NotListeningError says that a process ended without listening.
type NotListeningError struct {
	Exit   Exit
	output string // what it wrote last
}

func (e *NotListeningError) Error() string {
	return fmt.Sprintf("the process ended (%v) without listening\n%s", e.Exit, e.output)
}

// elsewhere says where sockets listen, but not on the port.
func elsewhere(listeners Sockets) string {
	if len(listeners) == 0 {
		return ""
	}
	var addresses []string
	for _, listener := range listeners {
		addresses = append(addresses, listener.Local.String())
	}
	return " on this port, but on " + strings.Join(addresses, ", ")
}

// heldBy returns the first of the listeners that one of the processes has open.
func heldBy(s *observe.Snapshot, processes ProcessInfos, listeners Sockets) Socket {
	if len(listeners) == 0 {
		return Socket{}
	}
	for _, info := range processes {
		fds, err := s.FDs(info)
		if err != nil {
			continue // it ended, or it is a zombie
		}
		for _, listener := range listeners {
			if fds.Socket(listener.Inode) {
				return listener
			}
		}
	}
	return Socket{}
}

// heldByNone says whether there is a listener that none of the processes seems to have
// open: the one that has it was missed.
func heldByNone(s *observe.Snapshot, all ProcessInfos, listeners Sockets) bool {
	for _, listener := range listeners {
		if heldBy(s, all.Alive(), Sockets{listener}).State != Listening {
			return true
		}
	}
	return false
}

// wasRunning says whether the process had not been waited for when the snapshot began.
func (p *Process) wasRunning(s *observe.Snapshot) bool {
	return p.Running() || p.endedAt.After(s.Began)
}

// offspringIn returns those of the processes that were started by the process,
// itself included: those that were not started before it, nor by one that was.
// A daemon, whose parent is the sandbox's init, is among them.
func (p *Process) offspringIn(all ProcessInfos) ProcessInfos {
	known := map[int]ProcessInfo{}
	for _, info := range all {
		known[info.PID] = info
	}
	return all.Where(func(info ProcessInfo) bool {
		for here := true; here; info, here = known[info.ParentPID] {
			if info.Same(p.started) {
				return true
			}
			if info.StartedBefore(p.started) {
				return false
			}
		}
		return true
	})
}

// awaitOutput waits until what an ended process wrote has been read. A child of
// it may hold the streams open, which is no reason to wait for long.
func (p *Process) awaitOutput(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, scaled(Settling))
	defer cancel()
	for _, output := range []*Output{p.Stdout, p.Stderr} {
		_ = output.AwaitEnd(ctx) // then the report has what there is
	}
}
