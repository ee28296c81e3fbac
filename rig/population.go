package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// population is the world that the processes of a host see: a PID namespace in
// which they have numbers of their own and can signal nobody else, whatever
// their rights (pid_namespaces(7)), with a /proc that shows just them. Its first
// process is a small init, which adopts orphans and reaps them; when init ends,
// the kernel kills all the others, those that are being forked included.
//
// It begins with the first process of a host, so that a host without one costs
// no process.
type population struct {
	init *exec.Cmd     // owned
	gone chan struct{} // closed when init was waited for: nobody is left then

	// launches are functions for the launcher, a thread that is in the
	// namespaces of the host. It lives as long as the population, because a child
	// may ask to die with its parent, and for the kernel that is a thread
	// (PR_SET_PDEATHSIG(2const)).
	launches chan func()
	launched chan struct{} // closed when the launcher has ended
	stop     sync.Once
}

// hostProgram is the program that is the first process of a population.
const hostProgram = builtinPrefix + "host"

// launch calls start, which starts a process, on a thread that is in the host's
// namespaces.
func (h *Host) launch(start func() error) error {
	people, err := h.populated()
	if err != nil {
		return err
	}
	return people.do(start)
}

// populated returns the host's population, which begins now where there was none,
// or where it has ended.
func (h *Host) populated() (*population, error) {
	h.peopling.Lock()
	defer h.peopling.Unlock()
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
		return nil, fmt.Errorf("begin the processes of a host: %w", err)
	}
	h.people = people
	go h.guard(people, maxProcesses)
	return people, nil
}

var errPopulationEnded = errors.New("the host's processes have just been ended, with its init")

// do calls f on the launcher.
func (p *population) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case p.launches <- func() { result <- f() }:
		return <-result
	case <-p.launched:
		return errPopulationEnded
	}
}

// end kills everybody at one instant and returns when nobody is left.
func (p *population) end() {
	p.stop.Do(func() {
		_ = p.init.Process.Kill() // an error means that it has ended
		<-p.gone
		close(p.launches)
	})
	<-p.launched
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
// than it may have, 1,000.
func (h *Host) Overcrowded() bool { return h.crowds.Load() > 0 }

// betweenCounts is how often a host's processes are counted.
const betweenCounts = 50 * time.Millisecond

// guard ends the host's processes where they have become more than most. It ends
// with the population.
func (h *Host) guard(people *population, most int) {
	for {
		select {
		case <-people.gone:
			return
		case <-time.After(betweenCounts):
		}
		if threadsOfMachine() <= most {
			continue // which costs less to know
		}
		if n := people.count(); n > most {
			h.lab.Journal.Record(h.Name, "%d processes run, more than the %d that a host may have: all are ended", n, most)
			h.crowds.Add(1)
			h.peopling.Lock() // nobody is started while they end
			people.end()
			h.peopling.Unlock()
			return
		}
	}
}

// awaitNoFile waits until the file does not exist.
func awaitNoFile(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), scaled(patience))
	defer cancel()
	_ = Await(ctx, "the end of a thread", func() (bool, string, error) { // a thread that stays is found at the end of the lab
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist), path, nil
	})
}
