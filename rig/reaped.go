package rig

import (
	"cmp"
	"context"
	"slices"
	"syscall"
	"time"
)

// AwaitReaped waits until the process has no zombie among its descendants. It
// returns the zombies that stay: those that were seen for the settling time
// and are still there while every thread of their parent sleeps, its processor
// time stands still and no SIGCHLD is pending, so that nothing but a new event
// can make it reap them. A process that is merely slow on a loaded machine is
// waited for.
func (p *Process) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	zombies, err := awaitReaped(ctx, p.String(), p.Descendants)
	p.Host.lab.Journal.Record(p.who(), "awaited reaping, %d zombies stay%s", len(zombies), errorSuffix(err))
	return zombies, err
}

// AwaitReaped is [Process.AwaitReaped] for all processes of the host, those of
// a daemon that left its parent included.
func (h *Host) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	zombies, err := awaitReaped(ctx, h.Name, h.Processes)
	h.lab.Journal.Record(h.Name, "awaited reaping, %d zombies stay%s", len(zombies), errorSuffix(err))
	return zombies, err
}

func awaitReaped(ctx context.Context, who string, list func() (ProcessInfos, error)) (ProcessInfos, error) {
	var zombies ProcessInfos
	parents := map[int]*restWatch{}
	err := Await(ctx, "no zombie of "+who, func() (bool, string, error) {
		all, err := list()
		if err != nil {
			return false, "", err
		}
		if zombies = all.Zombies(); len(zombies) == 0 {
			return true, "", nil
		}
		atRest := true
		seen := map[int]bool{}
		for _, zombie := range zombies {
			if seen[zombie.ParentPID] {
				continue
			}
			seen[zombie.ParentPID] = true
			parent := parents[zombie.ParentPID]
			if parent == nil {
				parent = &restWatch{pid: zombie.ParentPID}
				parents[zombie.ParentPID] = parent
			}
			resting, err := parent.look()
			if err != nil && !isGone(err) { // where it is gone, init reaps now
				return false, "", err
			}
			atRest = atRest && resting
		}
		youngest := slices.MinFunc(zombies, func(a, b ProcessInfo) int { return cmp.Compare(a.ZombieFor, b.ZombieFor) })
		return atRest && youngest.ZombieFor >= scaled(Settling), zombies.String(), nil
	})
	return zombies, err
}

// restWatch notices that a process has come to rest: over several looks all its
// threads sleep, it used no processor time and SIGCHLD is not pending.
type restWatch struct {
	pid     int
	cpu     time.Duration
	looks   int
	resting time.Time
}

// restFor is how long a process must have been seen at rest. It is longer than
// the steps in which the kernel counts processor time.
const restFor = 100 * time.Millisecond

func (w *restWatch) look() (atRest bool, err error) {
	info, err := readProcess(w.pid)
	if err != nil {
		return false, err
	}
	masks, err := readSignals(w.pid)
	if err != nil {
		return false, err
	}
	asleep, err := allThreadsAsleep(w.pid)
	if err != nil {
		return false, err
	}
	if !asleep || info.CPUTime != w.cpu || masks.Pending.Has(syscall.SIGCHLD) && !masks.Blocked.Has(syscall.SIGCHLD) {
		w.cpu, w.looks, w.resting = info.CPUTime, 0, time.Now()
		return false, nil
	}
	w.looks++
	return w.looks >= 3 && time.Since(w.resting) >= restFor, nil
}
