// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package observe

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// What follows lets programs compile on other systems, where reading ends in this error.
var errUnsupported = errors.ErrUnsupported

// New returns an observer that can read nothing.
func New() *Observer {
	return newObserver(noSource{}, func(work func()) time.Duration { work(); return 0 })
}

type noSource struct{}

func (noSource) read(time.Time, func(uint64) bool, func(uint64) bool) ([]located, error) {
	return nil, errUnsupported
}
func (noSource) awake(int) (bool, error)                    { return false, errUnsupported }
func (noSource) signals(int) (SignalMasks, error)           { return SignalMasks{}, errUnsupported }
func (noSource) fds(int) (FDs, error)                       { return nil, errUnsupported }
func (noSource) machine() (threads, last int)               { return 0, 0 }
func (noSource) count(string, int) (processes, threads int) { return 0, 0 }

func isGone(err error) bool                   { return errors.Is(err, os.ErrNotExist) }
func signalName(signal syscall.Signal) string { return signal.String() }

// IsGone says whether an error says that a process is no more.
func IsGone(err error) bool { return isGone(err) }

// ProcessorTimeStep is 0: there is no such clock.
func ProcessorTimeStep() time.Duration { return 0 }

// The functions that read one process fail.

// ReadProcess fails.
func ReadProcess(int) (ProcessInfo, error) { return ProcessInfo{}, errUnsupported }

// ReadFDs fails.
func ReadFDs(int) (FDs, error) { return nil, errUnsupported }

// ReadSignals fails.
func ReadSignals(int) (SignalMasks, error) { return SignalMasks{}, errUnsupported }

// ReadWakeups fails.
func ReadWakeups(int) (uint64, error) { return 0, errUnsupported }

// ReadScheduled fails.
func ReadScheduled(int) (running, waiting time.Duration, err error) { return 0, 0, errUnsupported }

// ReadThreads fails.
func ReadThreads(int) ([]ThreadUse, error) { return nil, errUnsupported }

// ReadTimedWait fails.
func ReadTimedWait(int) (bool, error) { return false, errUnsupported }

// ReadWaits fails.
func ReadWaits(int, uint32) ([]Wait, error) { return nil, errUnsupported }

// CountProcesses returns 0.
func CountProcesses(string, int) (processes, threads int) { return 0, 0 }

// ReadEndurance fails.
func ReadEndurance(ProcessInfo, uint32) (Endurance, error) { return Endurance{}, errUnsupported }

// ReadListenerOptions fails.
func ReadListenerOptions(ProcessInfo, uint32) (ListenerOptions, error) {
	return ListenerOptions{}, errUnsupported
}

// ReadLimits fails.
func ReadLimits(int) (Limits, error) { return nil, errUnsupported }

// ReadUser fails.
func ReadUser(int) (uint32, error) { return 0, errUnsupported }

// ReadProgram fails.
func ReadProgram(int) (string, error) { return "", errUnsupported }

// ThreadsIn fails.
func ThreadsIn(int, ProcessState) (in, all int, err error) { return 0, 0, errUnsupported }

// ListThreads fails.
func ListThreads(int) ([]int, error) { return nil, errUnsupported }

// DescribeThreads returns nothing.
func DescribeThreads(int) string { return "" }
