// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/observe"
)

// Frozen is a set of processes that were stopped together: see
// [Lab.FreezeTogether]. Its methods are safe for concurrent use.
type Frozen struct {
	lab *Lab

	mu      sync.Mutex
	handles []*pidfd.Process // owned until they were continued
	err     error
}

// FreezeTogether sends SIGSTOP to every targeted process and returns when all
// threads of all of them have stopped; children that one of them started
// meanwhile are among them, where the target includes them. It is an error where no
// targeted process is alive. [Frozen.Thaw] heals it, and so does the end of the
// lab. A SIGCONT from elsewhere, as [Process.Stop] sends one, continues a
// process, too.
func (l *Lab) FreezeTogether(ctx context.Context, targets ...Target) (*Frozen, error) {
	if err := l.checkTargets("stop processes", targets); err != nil {
		return nil, err
	}
	frozen, err := l.freeze(ctx, "lab", targets...)
	if err != nil {
		return nil, err
	}
	if err := l.AtEnd(frozen.Thaw); err != nil {
		return nil, err
	}
	return frozen, nil
}

// freeze is [Lab.FreezeTogether] without a healing; who is what the journal calls the
// processes.
func (l *Lab) freeze(ctx context.Context, who string, targets ...Target) (*Frozen, error) {
	frozen, began := &Frozen{lab: l}, time.Now()
	err := Await(ctx, "processes stopped", func() (bool, string, error) { return frozen.add(targets) })
	if err == nil && len(frozen.handles) == 0 {
		err = fmt.Errorf("no targeted process is alive: %w", os.ErrProcessDone)
	}
	l.Journal.RecordSince(began, EventSignal, who, "stopped %d processes%s", len(frozen.handles), errorSuffix(err))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stop processes: %w", err), frozen.Thaw(context.WithoutCancel(ctx)))
	}
	return frozen, nil
}

// forget leaves the processes as they are.
func (f *Frozen) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	pidfd.CloseAll(f.handles)
	f.handles = nil
}

// add stops the targets that are not stopped yet, and says whether none is left.
func (f *Frozen) add(targets []Target) (all bool, last string, err error) {
	now, err := openTargets(targets)
	if err != nil {
		return false, "", err
	}
	known := map[int]bool{}
	f.handles = slices.DeleteFunc(f.handles, func(handle *pidfd.Process) bool {
		dead, err := handle.Dead()
		if err == nil && dead {
			handle.Close() // its number may be another's by now
			return true
		}
		known[handle.PID] = true
		return false
	})
	all = true
	for _, handle := range now {
		stopped, threads, err := observe.ThreadsIn(handle.PID, Stopped)
		if err == nil && stopped < threads {
			err = handle.Signal(syscall.SIGSTOP)
			all, last = false, fmt.Sprintf("process %d is not stopped", handle.PID)
		}
		switch {
		case errors.Is(err, os.ErrProcessDone), observe.IsGone(err), err == nil && threads == 0: // it has ended
			handle.Close()
		case err != nil:
			return false, "", fmt.Errorf("stop process %d: %w", handle.PID, needsKill(err))
		case known[handle.PID]:
			handle.Close()
		default:
			f.handles = append(f.handles, handle)
		}
	}
	return all, last, nil
}

// Thaw sends SIGCONT to the processes that were stopped and returns when none of
// them is. One that has ended meanwhile is no error. A second call does nothing.
func (f *Frozen) Thaw(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handles == nil {
		return f.err
	}
	defer func() {
		pidfd.CloseAll(f.handles)
		f.handles = nil
	}()
	began := time.Now()
	for _, handle := range f.handles {
		if err := handle.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			f.err = errors.Join(f.err, fmt.Errorf("continue process %d: %w", handle.PID, err))
		}
	}
	f.err = errors.Join(f.err, Await(ctx, "processes continued", func() (bool, string, error) {
		for _, handle := range f.handles {
			dead, err := handle.Dead()
			if err != nil || dead {
				continue
			}
			stopped, _, err := observe.ThreadsIn(handle.PID, Stopped)
			if err != nil && !observe.IsGone(err) {
				return false, "", err
			}
			if stopped > 0 {
				return false, fmt.Sprintf("process %d is stopped", handle.PID), nil
			}
		}
		return true, "", nil
	}))
	f.lab.Journal.RecordSince(began, EventSignal, "lab", "continued %d processes%s", len(f.handles), errorSuffix(f.err))
	return f.err
}
