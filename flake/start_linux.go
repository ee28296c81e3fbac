// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// starter starts processes that end with this one: the kernel kills them when the
// thread that started them ends (PR_SET_PDEATHSIG in prctl(2)), so there is one
// thread that starts them all and stays.
type starter struct {
	processors []int // those that this process may use
	requests   chan request
}

type request struct {
	cmd     *exec.Cmd
	on      []int
	started chan error
}

func newStarter() (*starter, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read which processors are ours: sched_getaffinity: %w", err)
	}
	s := &starter{requests: make(chan request)}
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			s.processors = append(s.processors, n)
		}
	}
	go s.serve()
	return s, nil
}

// start starts the command as leader of a process group of its own, so that a
// terminal's Ctrl-C does not reach it, on some of the processors; nil means all.
func (s *starter) start(cmd *exec.Cmd, on []int) error {
	r := request{cmd, on, make(chan error)}
	s.requests <- r
	return <-r.started
}

func (s *starter) serve() {
	runtime.LockOSThread() // for ever
	for r := range s.requests {
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
		if r.on == nil {
			r.on = s.processors
		}
		// A child has the processors of the thread that starts it (sched_setaffinity(2)).
		var set unix.CPUSet
		for _, n := range r.on {
			set.Set(n)
		}
		err := unix.SchedSetaffinity(0, &set)
		if err == nil {
			err = r.cmd.Start()
		}
		r.started <- err
	}
}

// endGroup kills a process group. It may have ended.
func endGroup(leader int) { _ = unix.Kill(-leader, unix.SIGKILL) }
