// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"fmt"
	"slices"

	"forkrig/rig/internal/syscalls"
)

// Call is a system call by its name, as strace(1) prints it: "accept4". One that
// another architecture has and this one lacks, such as poll on arm64, is never
// made here; naming it is no error.
type Call string

// refused are the calls that cannot be trapped, and why.
var refused = map[Call]string{
	"clone": neverInterrupted, "clone3": neverInterrupted, "fork": neverInterrupted, "vfork": neverInterrupted,
	"execve": neverInterrupted, "execveat": neverInterrupted,
	"exit": neverReturns, "exit_group": neverReturns, "rt_sigreturn": neverReturns,
	"restart_syscall": "the kernel makes this call itself instead of another one: trap that other one",
}

const (
	neverInterrupted = "a signal that arrives before the rig has read the notification makes a trapped call fail with EINTR, " +
		"which this one never does: let the kernel refuse it, by a limit on processes"
	neverReturns = "it does not return, so it cannot fail"
)

// check says whether the call can be trapped.
func (c Call) check() error {
	if reason, is := refused[c]; is {
		return fmt.Errorf("trap %s: %s", c, reason)
	}
	if _, known := syscalls.Number(string(c)); !known {
		return fmt.Errorf("trap %s: no system call has this name: write it as strace does, such as accept4", c)
	}
	return nil
}

// alwaysTrapped are rare calls that tell what a process is and does: listeners
// call listen, and handlers are installed by rt_sigaction.
var alwaysTrapped = []Call{callListen, callSigaction}

const (
	callListen    Call = "listen"
	callAccept    Call = "accept"
	callAccept4   Call = "accept4"
	callSigaction Call = "rt_sigaction"
)

// makesListener says whether a process that makes the call is a listener.
func (c Call) makesListener() bool {
	return c == callListen || c == callAccept || c == callAccept4
}

// trapped returns the calls to trap, each once: those that were asked for first.
func trapped(calls []Call) ([]Call, error) {
	var all []Call
	for _, c := range calls {
		if err := c.check(); err != nil {
			return nil, err
		}
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	for _, c := range alwaysTrapped {
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all, nil
}
