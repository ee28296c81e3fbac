// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"syscall"

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
	crashLog.expect(l)
}

// noteSent notes that these signals may end processes of the lab.
func (l *Lab) noteSent(signals ...syscall.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent |= observe.NewSignalSet(signals...)
}

// crashes says which processes of the lab crashed. All that it started have ended.
func (l *Lab) crashes() error {
	crashLog.endOf(l)
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
