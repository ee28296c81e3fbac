// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// population is the world that the processes of a host see: a PID namespace in
// which they have numbers of their own and can signal no other process, whatever
// their rights (pid_namespaces(7)), with a /proc that shows just them. Its first
// process is a small init, which adopts orphans and reaps them; when init ends,
// the kernel kills all the others, those that are being forked included.
//
// It begins with the first process of a host, so that a host without one costs
// no process.
type population struct {
	init *exec.Cmd     // owned
	gone chan struct{} // closed when init was waited for: no process is left then
	// unguard ends the guard.
	unguard func()

	// The launchers are threads that are in the namespaces of the host. They live as
	// long as the population, because a child may ask to die with its parent, and for
	// the kernel that is a thread (PR_SET_PDEATHSIG(2const)). What the unprivileged one
	// starts never gains a privilege by executing a program; it comes with the first
	// process that needs it.
	ordinary, unprivileged *launcher
}

// launcher is a thread that calls functions.
type launcher struct {
	calls chan func()
	quit  chan struct{} // closed to end it
	ended chan struct{} // closed when the thread is no more
}

func newLauncher() *launcher {
	return &launcher{calls: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
}

// do calls f on the thread. It fails once the launcher has been ended.
func (l *launcher) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case l.calls <- func() { result <- f() }:
		return <-result
	case <-l.quit:
		return errPopulationEnded
	}
}

// hostProgram is the program that is the first process of a population.
const hostProgram = program.Builtin + "host"

// launch calls start, which starts a process, on a thread that is in the host's
// namespaces. With unprivileged the process and its children never gain a privilege
// by executing a program, such as a set-user-ID one (PR_SET_NO_NEW_PRIVS(2const)):
// as root of the machine they would have what the rig has.
func (h *Host) launch(start func() error, unprivileged bool) error {
	thread, err := h.launcher(unprivileged)
	if err != nil {
		return err
	}
	return thread.do(start)
}

func (h *Host) launcher(unprivileged bool) (*launcher, error) {
	h.peopling.Lock()
	defer h.peopling.Unlock()
	people, err := h.populated()
	if err != nil || !unprivileged {
		return people.ordinary, err
	}
	if people.unprivileged == nil {
		thread := newLauncher()
		if err := people.launch(thread, h.ns, unprivileged); err != nil {
			return nil, fmt.Errorf("make a thread without privileges: %w", err)
		}
		people.unprivileged = thread
	}
	return people.unprivileged, nil
}

// populated returns the host's population, which begins now where there was none,
// or where it has ended. The caller holds h.peopling.
func (h *Host) populated() (*population, error) {
	if h.people != nil {
		select {
		case <-h.people.gone:
			h.people.end()
		default:
			return h.people, nil
		}
	}
	people, err := populate(h)
	if err != nil {
		return &population{}, fmt.Errorf("begin the processes of a host: %w", err)
	}
	h.people = people
	people.unguard = h.guard(people)
	return people, nil
}

var errPopulationEnded = errors.New("all processes of the host, init included, were just ended")

// end kills all processes at one instant and returns when none is left. The caller
// holds the host's peopling.
func (p *population) end() {
	_ = p.init.Process.Kill() // an error means that it has ended
	<-p.gone
	p.unguard()
	for _, l := range []*launcher{p.ordinary, p.unprivileged} {
		if l == nil {
			continue
		}
		select {
		case <-l.quit:
		default:
			close(l.quit)
		}
		<-l.ended
	}
}

// depopulate ends what still runs on the host, and what its processes see.
func (h *Host) depopulate() {
	h.peopling.Lock()
	defer h.peopling.Unlock()
	if h.people != nil {
		h.people.end()
		h.people = nil
	}
}

// PIDOf returns the number by which the processes of the host know the process,
// which [ProcessInfo] does not have: there it is the number that the tests see.
// The error wraps os.ErrNotExist where the process has ended. Requires Linux 4.1
// (NSpid in proc_pid_status(5)).
func (h *Host) PIDOf(info ProcessInfo) (pid int, err error) {
	err = stillThere(info, func() error { pid, err = readInnermostPID(info.PID); return err })
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

// maxNumbers is the highest number of a process or thread on a host
// (kernel.pid_max of its PID namespace, since Linux 6.14). It keeps one that forks
// without end, until it is ended, from taking the numbers that the machine needs.
const maxNumbers = 4096

// KillAll ends every process of the host at one instant, those that are being
// forked included, and returns when none is left. Processes that are started
// afterwards count their numbers from the beginning, as after a boot.
func (h *Host) KillAll() error {
	if err := h.lab.checkOpen("kill the processes of " + h.Name); err != nil {
		return err
	}
	h.lab.Journal.Record(h.Name, "kill all processes at once")
	h.depopulate()
	return nil
}

// Overcrowded says whether the host's processes were ended because there were more
// than it may have: 1,000, or 3,000 threads.
func (h *Host) Overcrowded() bool { return h.crowds.Load() > 0 }

// guard ends the host's processes where they, or their threads, have become too many.
func (h *Host) guard(people *population) (stop func()) {
	return observer.GuardCrowd(people.proc(), observe.Crowd{Processes: maxProcesses, Threads: maxThreads}, func(now observe.Crowd) {
		select {
		case <-people.gone: // what was counted is something else, under the number of its init
			return
		default:
		}
		h.lab.Journal.Record(h.Name, "%d processes with %d threads run, more than the %d, or %d, that a host may have: all are ended",
			now.Processes, now.Threads, maxProcesses, maxThreads)
		h.crowds.Add(1)
		h.peopling.Lock() // so that nothing is started while they end
		defer h.peopling.Unlock()
		people.end()
	})
}

// proc is where the rig sees the /proc of the population.
func (p *population) proc() string { return procPath(p.init.Process.Pid, "root", "proc") }

// awaitNoFile waits until the file does not exist.
func awaitNoFile(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), scaled(patience))
	defer cancel()
	_ = Await(ctx, "the end of a thread", func() (bool, string, error) { // a thread that stays is found at the end of the lab
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist), path, nil
	})
}
