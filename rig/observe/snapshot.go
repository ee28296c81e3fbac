// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Snapshot is what one read saw. It is shared by all who asked for it, and safe for
// concurrent use; its lists are the caller's own.
//
// What few callers need of a process (Awake, FDs) is read when the first of them asks
// for it, and kept for the others.
type Snapshot struct {
	Began time.Time

	observer  *Observer
	err       error
	all       ProcessInfos // that were read, in order of their numbers
	processes map[*Host]ProcessInfos
	sockets   map[*Host]socketsRead

	mu       sync.Mutex
	children map[int]ProcessInfos
	details  map[detail]any
}

type socketsRead struct {
	sockets Sockets
	err     error
}

// detail names what is read of one process.
type detail struct {
	of   processKey
	what string
}

var errNotAsked = errors.New("the snapshot does not have what was not asked for")

// Processes returns the processes of the host, in order of their numbers.
func (s *Snapshot) Processes(h *Host) (ProcessInfos, error) {
	found, asked := s.processes[h]
	if !asked {
		return nil, errNotAsked
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.removed {
		return nil, ErrRemoved
	}
	return slices.Clone(found), nil
}

// Sockets returns the sockets of the host.
func (s *Snapshot) Sockets(h *Host) (Sockets, error) {
	found, asked := s.sockets[h]
	if !asked {
		return nil, errNotAsked
	}
	return slices.Clone(found.sockets), found.err
}

// All returns the processes that were read, for whichever caller, in order of their
// numbers. Those that the caller asked for are among them.
func (s *Snapshot) All() ProcessInfos { return slices.Clone(s.all) }

// Descendants returns the descendants of a process, zombies included, in order of
// their numbers: those among the processes that were read.
func (s *Snapshot) Descendants(pid int) ProcessInfos {
	s.mu.Lock()
	if s.children == nil {
		s.children = s.all.children()
	}
	s.mu.Unlock()
	return descendants(s.children, pid)
}

// Awake says whether one of the processes is awake: whether a thread of it runs, is
// ready to run, or waits for a device. One that has ended meanwhile was awake, and
// zombies are not.
func (s *Snapshot) Awake(processes ProcessInfos) (bool, error) {
	for _, info := range processes {
		if info.State == Zombie {
			continue
		}
		if info.Threads == 1 { // it is the process
			if isAwake(info.State) {
				return true, nil
			}
			continue
		}
		awake, err := read(s, info, "awake", func() (bool, error) { return s.observer.source.awake(info.PID) })
		if isGone(err) {
			return true, nil
		}
		if err != nil || awake {
			return awake, err
		}
	}
	return false, nil
}

// WillTake says whether the signal waits for the process and is not blocked by it, so
// that the process will be woken. One that has ended meanwhile takes nothing.
func (s *Snapshot) WillTake(of ProcessInfo, signal syscall.Signal) (bool, error) {
	masks, err := read(s, of, "signals", func() (SignalMasks, error) { return s.observer.source.signals(of.PID) })
	if err != nil && !isGone(err) {
		return false, err
	}
	return masks.Pending.Has(signal) && !masks.Blocked.Has(signal), nil
}

// FDs returns the open descriptors of a process. The error wraps os.ErrNotExist where it
// has ended, and os.ErrPermission where it runs as another user and the caller lacks
// CAP_SYS_PTRACE.
func (s *Snapshot) FDs(of ProcessInfo) (FDs, error) {
	return read(s, of, "fds", func() (FDs, error) { return s.observer.source.fds(of.PID) })
}

type valueRead[T any] struct {
	value T
	err   error
}

// read reads a detail of a process once for all.
func read[T any](s *Snapshot, of ProcessInfo, what string, from func() (T, error)) (T, error) {
	key := detail{of.key(), what}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.details[key]; ok {
		found := known.(valueRead[T])
		return found.value, found.err
	}
	var found valueRead[T]
	cost := s.observer.measure(func() { found.value, found.err = from() })
	s.observer.charge(cost, false)
	if s.details == nil {
		s.details = map[detail]any{}
	}
	s.details[key] = found
	return found.value, found.err
}
