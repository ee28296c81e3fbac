// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os/exec"

	"forkrig/rig/internal/population"
	"forkrig/rig/observe"
)

// launch starts a process on a thread that is in the host's
// namespaces. With unprivileged the process and its children never gain a privilege by
// executing a program: see [population.Population.Launch].
func (h *Host) launch(cmd *exec.Cmd, unprivileged bool) error {
	h.peopling.Lock()
	people, err := h.populated()
	h.peopling.Unlock()
	if err != nil {
		return err
	}
	return people.Launch(cmd, unprivileged)
}

// populated returns the host's population, which begins now where there was none, so that
// a host without a process costs none, or where it has ended. The caller holds h.peopling.
func (h *Host) populated() (*population.Population, error) {
	if h.people != nil {
		select {
		case <-h.people.Gone():
			h.endPopulation()
		default:
			return h.people, nil
		}
	}
	if err := h.ns.Furnish(); err != nil {
		return nil, err
	}
	people, err := population.Begin(h.Name, h.ns.FD())
	if err != nil {
		return nil, fmt.Errorf("begin the processes of a host: %w", explainStartError(err))
	}
	h.people, h.unguard = people, h.guard(people)
	return people, nil
}

// endPopulation kills all processes at one instant and returns when none is left. The
// caller holds h.peopling.
func (h *Host) endPopulation() {
	if h.people == nil {
		return
	}
	h.people.End()
	h.unguard()
	h.people = nil
}

// depopulate ends what still runs on the host, and what its processes see.
func (h *Host) depopulate() {
	h.peopling.Lock()
	defer h.peopling.Unlock()
	h.endPopulation()
}

// PIDOf returns the number by which the processes of the host know the process,
// which [ProcessInfo] does not have: there it is the number that the tests see.
// The error wraps os.ErrNotExist where the process has ended. Requires Linux 4.1
// (NSpid in proc_pid_status(5)).
func (h *Host) PIDOf(info ProcessInfo) (pid int, err error) {
	err = stillThere(info, func() error { pid, err = population.InnermostPID(info.PID); return err })
	if err != nil {
		return 0, fmt.Errorf("read the number of %s pid %d on %s: %w", info.Name, info.PID, h.Name, err)
	}
	return pid, nil
}

// maxProcesses is how many processes a host may have at a time: many times what a
// server needs, and few enough for the rig to live beside them. A subject that
// forks without end is ended, all of it at one instant, soon after it has more.
const maxProcesses = 1000

// maxThreads is how many threads they may have in all: a server may well have one
// for each of its clients.
const maxThreads = 3000

// KillAll ends every process of the host at one instant, those that are being
// forked included, and returns when none is left. Processes that are started
// afterwards count their numbers from the beginning, as after a boot.
func (h *Host) KillAll() error {
	if err := h.lab.checkOpen("kill the processes of " + h.Name); err != nil {
		return err
	}
	h.lab.Journal.RecordAs(EventSignal, h.Name, "kill all processes at once")
	h.depopulate()
	return nil
}

// RefuseForks has the kernel refuse every fork and clone on the host with EAGAIN: no process
// there gets another process or thread, and nothing can be started there ([Host.Start]).
// Processes and threads that are there go on, and so do threads of the tests ([Host.Do]),
// which belong to no host. It returns when the kernel has refused a fork.
//
// allow ends that. Its error says that a fork was possible just before; it can be where
// processes of the host itself have had more than 300 numbers. [Host.KillAll] ends it, too.
// Another call meanwhile is an error. Requires [FeaturePIDMax].
func (h *Host) RefuseForks() (allow func() error, err error) {
	if err := h.lab.checkOpen("refuse forks of " + h.Name); err != nil {
		return nil, err
	}
	h.peopling.Lock()
	people, err := h.populated()
	h.peopling.Unlock()
	var heal func() error
	if err == nil {
		heal, err = people.RefuseForks()
	}
	if errors.Is(err, population.ErrCannotRefuse) {
		err = &MissingError{Feature: FeaturePIDMax, Err: err,
			Remedy: "use Linux 6.14 or later with CONFIG_CHECKPOINT_RESTORE, on a machine of at most 128 processors"}
	}
	if err != nil {
		return nil, fmt.Errorf("refuse forks of %s: %w", h.Name, err)
	}
	return func() error {
		if err := heal(); err != nil {
			return fmt.Errorf("allow forks of %s: %w", h.Name, err)
		}
		return nil
	}, nil
}

// Overcrowded says whether the host's processes were ended because there were more
// than it may have: 1,000, or 3,000 threads.
func (h *Host) Overcrowded() bool { return h.crowds.Load() > 0 }

// guard ends the host's processes where they, or their threads, have become too many.
func (h *Host) guard(people *population.Population) (stop func()) {
	return observer.GuardCrowd(people.Proc(), observe.Crowd{Processes: maxProcesses, Threads: maxThreads}, func(now observe.Crowd) {
		select {
		case <-people.Gone(): // what was counted is something else, under the number of its init
			return
		default:
		}
		h.crowds.Add(1)
		people.Kill() // at once: what follows may wait for a start that gets no processor
		h.lab.Journal.Record(h.Name, "%d processes with %d threads or more run, more than the %d, or %d, that a host may have: all are ended",
			now.Processes, now.Threads, maxProcesses, maxThreads)
		h.peopling.Lock() // so that nothing is started while they end
		defer h.peopling.Unlock()
		people.End()
	})
}
