// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/observe"
)

// Target chooses processes that a fault is meant for: see [Process.Itself],
// [Process.Workers], [Process.Family] and [Host.Matching].
type Target struct {
	process     *Process
	itself      bool
	descendants bool

	host    *Host
	what    string
	matches func(ProcessInfo) bool
}

// Matching targets the processes of the host that matches says yes to, as they
// are at each moment; nil means all of them. what names them in a few words.
func (h *Host) Matching(what string, matches func(ProcessInfo) bool) Target {
	return Target{host: h, what: what, matches: matches}
}

// Itself targets the process alone.
func (p *Process) Itself() Target { return Target{process: p, itself: true} }

// Workers targets the descendants of the process, as they are at each moment.
func (p *Process) Workers() Target { return Target{process: p, descendants: true} }

// Family targets the process and its descendants, as they are at each moment.
func (p *Process) Family() Target { return Target{process: p, itself: true, descendants: true} }

// Host is the host of the targeted processes; nil where it targets none.
func (t Target) Host() *Host {
	if t.process != nil {
		return t.process.Host
	}
	return t.host
}

func (t Target) String() string {
	switch {
	case t.host != nil:
		return t.what + " of " + t.host.Name
	case t.process == nil:
		return "no process"
	case t.itself && t.descendants:
		return t.process.who() + " and its descendants"
	case t.descendants:
		return "the descendants of " + t.process.who()
	}
	return t.process.who()
}

// open returns handles of the targeted processes that are alive now. The caller
// closes them.
func (t Target) open() ([]*pidfd.Process, error) {
	if t.host != nil {
		all, err := t.host.Processes()
		if err != nil {
			return nil, err
		}
		if t.matches != nil {
			all = all.Where(t.matches)
		}
		return openAll(all.Alive()), nil
	}
	if t.process == nil {
		return nil, errors.New("the target is empty: use Itself, Workers or Family of a process, or Matching of a host")
	}
	var handles []*pidfd.Process
	if t.itself {
		handle, err := t.process.open()
		if err == nil {
			handles = append(handles, handle)
		} else if !errors.Is(err, os.ErrProcessDone) {
			return nil, err
		}
	}
	if !t.descendants {
		return handles, nil
	}
	descendants, err := t.process.Descendants()
	if err != nil {
		pidfd.CloseAll(handles)
		return nil, err
	}
	return append(handles, openAll(descendants.Alive())...), nil
}

// openAll returns handles of those processes that are still there.
func openAll(processes ProcessInfos) []*pidfd.Process {
	var handles []*pidfd.Process
	for _, info := range processes {
		handle, err := pidfd.Open(info.PID)
		if err != nil {
			continue // it ended
		}
		// The same start time after the handle was opened: the same process.
		if now, err := observe.ReadProcess(info.PID); err != nil || !now.Same(info) {
			handle.Close()
			continue
		}
		handles = append(handles, handle)
	}
	return handles
}

func openTargets(targets []Target) ([]*pidfd.Process, error) {
	var all []*pidfd.Process
	for _, target := range targets {
		handles, err := target.open()
		if err != nil {
			pidfd.CloseAll(all)
			return nil, err
		}
		all = append(all, handles...)
	}
	return slices.DeleteFunc(all, func(handle *pidfd.Process) bool {
		dead, err := handle.Dead()
		if err == nil && dead { // but not waited for yet
			handle.Close()
			return true
		}
		return false
	}), nil
}

// checkTargets makes sure that the lab has not ended, and that the targets are on
// its hosts.
func (l *Lab) checkTargets(what string, targets []Target) error {
	for _, target := range targets {
		host := target.host
		if target.process != nil {
			host = target.process.Host
		}
		if host != nil && host.lab != l {
			return fmt.Errorf("%s: %v is in another lab: name targets of this one", what, target)
		}
	}
	return l.checkOpen(what)
}

// needsKill says what a signal to another user's process takes.
func needsKill(err error) error {
	if errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w: it runs as another user, for which the rig needs CAP_KILL", err)
	}
	return err
}

// SignalAll sends a signal to every targeted process once, and returns how many
// it reached.
func (l *Lab) SignalAll(s syscall.Signal, targets ...Target) (reached int, err error) {
	if err := l.checkTargets("send a signal", targets); err != nil {
		return 0, err
	}
	handles, err := openTargets(targets)
	if err != nil {
		return 0, fmt.Errorf("send %v: %w", s, err)
	}
	defer pidfd.CloseAll(handles)
	l.noteSent(s)
	began := time.Now()
	for _, handle := range handles {
		if err := handle.Signal(s); err == nil {
			reached++
		} else if !errors.Is(err, os.ErrProcessDone) {
			return reached, fmt.Errorf("send %v to process %d: %w", s, handle.PID, needsKill(err))
		}
	}
	l.Journal.RecordSince(began, EventSignal, "lab", "signal %v to %d processes", s, reached)
	return reached, nil
}

// KillTogether sends SIGKILL to every targeted process, one right after the
// other from one thread, parents before their children, and waits until all are
// dead: a parent has no time to start another child for one that was killed. It returns
// how many were killed, with those that died of their parent's death (PR_SET_PDEATHSIG),
// and the time from the first signal to the last. Descendants that lose their parent in
// this are reaped by the sandbox's init.
func (l *Lab) KillTogether(ctx context.Context, targets ...Target) (killed int, span time.Duration, err error) {
	if err := l.checkTargets("kill processes", targets); err != nil {
		return 0, 0, err
	}
	return l.kill(ctx, "lab", targets...)
}

// kill is [Lab.KillTogether] also while the lab ends; who is what the journal calls them.
func (l *Lab) kill(ctx context.Context, who string, targets ...Target) (killed int, span time.Duration, err error) {
	handles, err := openTargets(targets)
	if err != nil {
		return 0, 0, fmt.Errorf("kill processes: %w", err)
	}
	defer pidfd.CloseAll(handles)
	start := time.Now()
	for _, handle := range handles { // children come after their parents in the list
		if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return killed, 0, fmt.Errorf("kill process %d: %w", handle.PID, needsKill(err))
		}
		killed++
	}
	span = time.Since(start)
	l.Journal.RecordSince(start, EventSignal, who, "killed %d processes within %v", killed, span)
	return killed, span, Await(ctx, "the end of killed processes", func() (bool, string, error) {
		for _, handle := range handles {
			dead, err := handle.Dead()
			if err != nil || !dead {
				// One that lets the rig trace a thread ends once that was waited for.
				threads, _ := observe.ListThreads(handle.PID) // an error: it has ended
				handle.ReapTraced(threads)
				return false, fmt.Sprintf("process %d lives", handle.PID), err
			}
		}
		return true, "", nil
	})
}
