package rig

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// AwaitReaped waits until the process has no zombie among its descendants. It
// returns the zombies that stay: those that were seen for the settling time
// and are still there while every thread of the process sleeps, processor time stands still
// and no SIGCHLD is pending, so that nothing but a new event can make it reap
// them. A process that is merely slow on a loaded machine is waited for.
func (p *Process) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	var zombies ProcessInfos
	rest := restWatch{pid: p.PID}
	err := Await(ctx, fmt.Sprintf("no zombie of %v", p), func() (bool, string, error) {
		all, err := p.Descendants()
		if err != nil {
			return false, "", err
		}
		if zombies = all.Zombies(); len(zombies) == 0 {
			return true, "", nil
		}
		atRest, err := rest.look()
		if err != nil {
			return false, "", err
		}
		youngest := slices.MinFunc(zombies, func(a, b ProcessInfo) int { return cmp.Compare(a.ZombieFor, b.ZombieFor) })
		return atRest && youngest.ZombieFor >= scaled(Settling), zombies.String(), nil
	})
	p.Host.lab.Journal.Record(p.who(), "awaited reaping, %d zombies stay%s", len(zombies), errorSuffix(err))
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
