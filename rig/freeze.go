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

	"forkrig/rig/observe"
)

// Frozen is a set of processes that were stopped together: see
// [Lab.FreezeTogether]. Its methods are safe for concurrent use.
type Frozen struct {
	lab *Lab

	mu      sync.Mutex
	handles []*processHandle // owned until they were continued
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
	frozen := &Frozen{lab: l}
	err := Await(ctx, "processes stopped", func() (bool, string, error) { return frozen.add(targets) })
	if err == nil && len(frozen.handles) == 0 {
		err = fmt.Errorf("no targeted process is alive: %w", os.ErrProcessDone)
	}
	l.Journal.Record(who, "stopped %d processes%s", len(frozen.handles), errorSuffix(err))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stop processes: %w", err), frozen.Thaw(context.WithoutCancel(ctx)))
	}
	return frozen, nil
}

// forget leaves the processes as they are.
func (f *Frozen) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	closeHandles(f.handles)
	f.handles = nil
}

// add stops the targets that are not stopped yet, and says whether none is left.
func (f *Frozen) add(targets []Target) (all bool, last string, err error) {
	now, err := openTargets(targets)
	if err != nil {
		return false, "", err
	}
	known := map[int]bool{}
	f.handles = slices.DeleteFunc(f.handles, func(handle *processHandle) bool {
		dead, err := handle.dead()
		if err == nil && dead {
			handle.close() // its number may be another's by now
			return true
		}
		known[handle.pid] = true
		return false
	})
	all = true
	for _, handle := range now {
		stopped, threads, err := observe.ThreadsIn(handle.pid, Stopped)
		if err == nil && stopped < threads {
			err = handle.signal(syscall.SIGSTOP)
			all, last = false, fmt.Sprintf("process %d is not stopped", handle.pid)
		}
		switch {
		case errors.Is(err, os.ErrProcessDone), isGone(err), err == nil && threads == 0: // it has ended
			handle.close()
		case err != nil:
			return false, "", fmt.Errorf("stop process %d: %w", handle.pid, needsKill(err))
		case known[handle.pid]:
			handle.close()
		default:
			f.handles = append(f.handles, handle)
		}
	}
	return all, last, nil
}

// Processes returns how many processes were stopped.
func (f *Frozen) Processes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.handles)
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
		closeHandles(f.handles)
		f.handles = nil
	}()
	for _, handle := range f.handles {
		if err := handle.signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			f.err = errors.Join(f.err, fmt.Errorf("continue process %d: %w", handle.pid, err))
		}
	}
	f.err = errors.Join(f.err, Await(ctx, "processes continued", func() (bool, string, error) {
		for _, handle := range f.handles {
			dead, err := handle.dead()
			if err != nil || dead {
				continue
			}
			stopped, _, err := observe.ThreadsIn(handle.pid, Stopped)
			if err != nil && !isGone(err) {
				return false, "", err
			}
			if stopped > 0 {
				return false, fmt.Sprintf("process %d is stopped", handle.pid), nil
			}
		}
		return true, "", nil
	}))
	f.lab.Journal.Record("lab", "continued %d processes%s", len(f.handles), errorSuffix(f.err))
	return f.err
}
