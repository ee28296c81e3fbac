// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"

	"forkrig/rig/internal/crashlog"
	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// crashSignals are those by which the kernel, or a program itself, ends a program that
// went wrong (signal(7)).
var crashSignals = observe.NewSignalSet(syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS,
	syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS)

// ExpectCrash says that these signals may end processes of the lab from now on; without
// arguments any of SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS may.
//
// Otherwise the lab fails its test when one of these seven ended a process that it
// started, and the rig sent that signal to no process of the lab. Workers are reaped by
// the subject: where the kernel's log can be read ([FeatureKernelLog]) and has a line
// about a crash in the code of the test binary, the whole run fails, unless a lab that
// runs such programs expected one at that time. A test that has one of its processes
// send such a signal calls ExpectCrash, too.
func (l *Lab) ExpectCrash(signals ...syscall.Signal) {
	if len(signals) == 0 {
		signals = crashSignals.Signals()
	}
	l.noteSent(signals...)
	logged.expect(l)
}

// noteSent notes that these signals may end processes of the lab.
func (l *Lab) noteSent(signals ...syscall.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent |= observe.NewSignalSet(signals...)
}

// crashes says which processes of the lab crashed. All that it started have ended.
func (l *Lab) crashes() error {
	logged.endOf(l)
	l.mu.Lock()
	processes, sent := l.processes, l.sent
	l.mu.Unlock()
	var found []error
	for _, p := range processes {
		if p.Running() {
			continue
		}
		if s := p.exit().Signal; crashSignals.Has(s) && !sent.Has(s) {
			found = append(found, fmt.Errorf("%v crashed: signal %d (%v) ended it, which the rig did not send: "+
				"read what it wrote, or call Lab.ExpectCrash if the test means it to crash", p, int(s), s))
		}
	}
	return errors.Join(found...)
}

// crashWatch collects the crashes of processes that no lab started, such as workers, which
// only the kernel's log has. A nil one collects nothing.
type crashWatch struct {
	mu        sync.Mutex
	log       *crashlog.Log
	expecting map[*Lab]bool // labs in which a crash is expected
	found     []string
}

// logged is the watch since the first test. Set before it runs; nil where the log
// cannot be read.
var logged *crashWatch

// watchCrashes begins a watch. The error is a [MissingError] where the kernel or the container
// refuses.
func watchCrashes() (*crashWatch, error) {
	log, err := crashlog.Open(slices.Collect(maps.Keys(knownPrograms)))
	var refused *os.SyscallError
	if errors.As(err, &refused) {
		return nil, &MissingError{Feature: FeatureKernelLog, Err: err,
			Remedy: "run as root with CAP_SYSLOG, or set the sysctl kernel.dmesg_restrict to 0"}
	}
	if err != nil {
		return nil, err
	}
	return &crashWatch{log: log, expecting: map[*Lab]bool{}}, nil
}

// expect forgives crashes from now until the end of the lab.
func (w *crashWatch) expect(l *Lab) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read(l)
	w.expecting[l] = true
}

// endOf notes what was logged until the end of the lab.
func (w *crashWatch) endOf(l *Lab) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read(l)
	delete(w.expecting, l)
}

// err says which crashes were logged and not expected.
func (w *crashWatch) err() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read(nil)
	var found []error
	for _, line := range w.found {
		found = append(found, fmt.Errorf("a process of this program crashed, in this run or in another one of the same build: %s", line))
	}
	return errors.Join(found...)
}

// read takes the lines that came since, while the lab was there; nil means that all tests
// have ended. The caller holds mu.
func (w *crashWatch) read(l *Lab) {
	when := "when all tests had ended"
	if l != nil {
		when = "in a lab of " + l.tb.Name()
	}
	for _, line := range w.log.Read() {
		if !w.expected() {
			w.found = append(w.found, fmt.Sprintf("%q, read %s", line, when))
		}
	}
}

// expected says whether a lab expects a crash of one of our own programs.
func (w *crashWatch) expected() bool {
	for l := range w.expecting {
		l.mu.Lock()
		ours := slices.ContainsFunc(l.processes, func(p *Process) bool { return program.Name(p.Command.Args[0]) != "" })
		l.mu.Unlock()
		if ours {
			return true
		}
	}
	return false
}
