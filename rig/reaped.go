// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"forkrig/rig/observe"
)

// AwaitReaped waits until the process has no zombie among its descendants. It
// returns the zombies that stay: those that were seen for the settling time
// and are still there while their parents are quiescent (every thread of them sleeps
// and no processor time is used: see [observe.Quiescence]) and no SIGCHLD is pending,
// so that nothing but a new event can make them reap. A process that is merely slow on
// a loaded machine is waited for.
func (p *Process) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	began := time.Now()
	zombies, err := awaitReaped(ctx, p.String(), p.family(), func(s *observe.Snapshot) (ProcessInfos, error) {
		return p.descendantsIn(s), nil
	})
	p.Host.lab.Journal.waited(began, p.who(), err, "reaping, %d zombies stay", len(zombies))
	return zombies, err
}

// AwaitReaped is [Process.AwaitReaped] for all processes of the host, those of
// a daemon that left its parent included.
func (h *Host) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	began := time.Now()
	zombies, err := awaitReaped(ctx, h.Name, observe.Query{Processes: []*observe.Host{h.observed}}, func(s *observe.Snapshot) (ProcessInfos, error) {
		if err := h.lab.checkOpen("list processes of " + h.Name); err != nil {
			return nil, err
		}
		return h.processesIn(s)
	})
	h.lab.Journal.waited(began, h.Name, err, "reaping, %d zombies stay", len(zombies))
	return zombies, err
}

func awaitReaped(ctx context.Context, who string, q observe.Query, list func(*observe.Snapshot) (ProcessInfos, error)) (ProcessInfos, error) {
	var zombies ProcessInfos
	parents := map[int]*observe.Quiescence{}
	err := awaitObserved(ctx, "no zombie of "+who, q, func(s *observe.Snapshot) (bool, fmt.Stringer, error) {
		all, err := list(s)
		if err != nil {
			return false, nil, err
		}
		if zombies = all.Zombies(); len(zombies) == 0 {
			return true, nil, nil
		}
		quiescent := true
		seen := map[int]bool{}
		for _, zombie := range zombies {
			if seen[zombie.ParentPID] {
				continue
			}
			seen[zombie.ParentPID] = true
			parent := parents[zombie.ParentPID]
			if parent == nil {
				parent = &observe.Quiescence{}
				parents[zombie.ParentPID] = parent
			}
			now, err := parentActivity(s, zombie.ParentPID)
			if err != nil {
				return false, nil, err
			}
			quiescent = parent.See(now).State == observe.Quiescent && quiescent
		}
		youngest := slices.MinFunc(zombies, func(a, b ProcessInfo) int { return cmp.Compare(a.ZombieFor, b.ZombieFor) })
		return quiescent && youngest.ZombieFor >= scaled(Settling), zombies, nil
	})
	return zombies, err
}

// parentActivity is what the process of that number does. Where there is none any
// more, an init reaps its children now.
func parentActivity(s *observe.Snapshot, pid int) (now observe.Activity, err error) {
	now = observe.Activity{At: time.Now(), Processes: s.All().Where(func(i ProcessInfo) bool { return i.PID == pid })}
	if len(now.Processes) == 0 {
		now.Awake = true
		return now, nil
	}
	willTake, err := s.WillTake(now.Processes[0], syscall.SIGCHLD)
	if err != nil {
		return now, err
	}
	now.Awake, err = s.Awake(now.Processes)
	now.Awake = now.Awake || willTake
	return now, err
}
