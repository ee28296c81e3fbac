// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"math/bits"
	"strings"
	"syscall"
)

// SignalSet is a set of signals: bit n-1 stands for signal n (signal(7)).
type SignalSet uint64

// NewSignalSet returns the set of these signals.
func NewSignalSet(signals ...syscall.Signal) (set SignalSet) {
	for _, s := range signals {
		if s > 0 {
			set |= 1 << (s - 1)
		}
	}
	return set
}

// Has says whether the set contains s.
func (set SignalSet) Has(s syscall.Signal) bool { return s > 0 && set&(1<<(s-1)) != 0 }

// Signals returns the members, lowest first.
func (set SignalSet) Signals() []syscall.Signal {
	signals := make([]syscall.Signal, 0, bits.OnesCount64(uint64(set)))
	for rest := uint64(set); rest != 0; rest &= rest - 1 {
		signals = append(signals, syscall.Signal(bits.TrailingZeros64(rest)+1))
	}
	return signals
}

// SignalName returns the name of a signal as in signal(7), such as SIGCHLD.
func SignalName(s syscall.Signal) string { return signalName(s) }

func (set SignalSet) String() string {
	names := []string{}
	for _, s := range set.Signals() {
		names = append(names, signalName(s))
	}
	return "{" + strings.Join(names, " ") + "}"
}

// SignalMasks is what a process does with each signal (proc_pid_status(5)).
// Pending are those directed at the process or at its first thread.
type SignalMasks struct {
	Pending, Blocked, Ignored, Caught SignalSet
}
