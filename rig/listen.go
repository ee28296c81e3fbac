package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// AwaitListen waits until the process, a descendant of it or a daemon that it
// left on the host listens on the port, and returns the listening socket. The
// witness is the kernel: a socket in LISTEN on that port whose inode is open in
// such a process. A listener that an older process kept is not taken for it.
// The wait ends early when the process has ended and nothing of it is left.
func (h *Host) AwaitListen(ctx context.Context, p *Process, port uint16) (Socket, error) {
	var found Socket
	gone := 0 // looks at which nothing of it was seen
	err := Await(ctx, fmt.Sprintf("%v listening on port %d", p, port), func() (bool, string, error) {
		running := p.Running()
		sockets, err := h.Sockets()
		if err != nil {
			return false, "", err
		}
		listeners := sockets.On(port).In(Listening)
		offspring, err := p.offspring()
		if err != nil {
			return false, "", err
		}
		for _, info := range offspring {
			fds, err := readFDs(info.PID)
			if err != nil {
				continue // it ended, or it is a zombie
			}
			for _, listener := range listeners {
				if fds.Socket(listener.Inode) {
					found = listener
					return true, "", nil
				}
			}
		}
		// A look goes through the processes one after the other, and may miss both a
		// parent that ends and the child that it has just started.
		if running || len(offspring.Alive()) > 0 || h.heldByNobody(listeners) {
			gone = 0
		} else if gone++; gone >= 3 {
			p.awaitOutput(ctx)
			return false, "", fmt.Errorf("the process ended (%v) without listening\n%s", p.exit(), p.outputTail(6))
		}
		if len(listeners) > 0 {
			seen := "another process listens: " + listeners.String()
			if _, err := readFDs(p.PID); errors.Is(err, os.ErrPermission) && p.Running() {
				seen += "; but what this one has open cannot be seen: give the rig CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
			}
			return false, seen, nil
		}
		return false, "nobody listens", nil
	})
	h.lab.Journal.Record(p.who(), "awaited listening on port %d%s", port, errorSuffix(err))
	if errors.Is(err, ErrNotObserved) {
		err = fmt.Errorf("%w\n%s", err, p.outputTail(6))
	}
	return found, err
}

// heldByNobody says whether there is a listener that no process of the host seems
// to have open: whoever has it was missed.
func (h *Host) heldByNobody(listeners Sockets) bool {
	if len(listeners) == 0 {
		return false
	}
	all, err := h.processes()
	if err != nil {
		return false
	}
	for _, info := range all.Alive() {
		fds, err := readFDs(info.PID)
		if err != nil {
			continue
		}
		listeners = listeners.where(func(s Socket) bool { return !fds.Socket(s.Inode) })
	}
	return len(listeners) > 0
}

// offspring returns the processes of the host that were started by the process,
// itself included: those that were not started before it, nor by one that was.
// A daemon, whose parent is the sandbox's init, is among them.
func (p *Process) offspring() (ProcessInfos, error) {
	all, err := p.Host.processes()
	if err != nil {
		return nil, err
	}
	known := map[int]ProcessInfo{}
	for _, info := range all {
		known[info.PID] = info
	}
	return all.where(func(info ProcessInfo) bool {
		for here := true; here; info, here = known[info.ParentPID] {
			if info.Same(p.started) {
				return true
			}
			if info.StartedBefore(p.started) {
				return false
			}
		}
		return true
	}), nil
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
