// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"
)

// ReadWakeups returns how often the threads of a process have gone to sleep of their
// own accord (voluntary_ctxt_switches in proc_pid_status(5)).
func ReadWakeups(pid int) (uint64, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return 0, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	var n uint64
	for _, thread := range threads {
		status, err := thread.NewStatus()
		if isGone(err) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		n += status.VoluntaryCtxtSwitches
	}
	return n, nil
}

// ReadScheduled returns for how long the threads of a process have run, and for how
// long they waited for a processor (/proc/PID/task/TID/schedstat). Where the kernel
// keeps no such statistics (CONFIG_SCHED_INFO) running is the processor time, and
// waiting 0.
func ReadScheduled(pid int) (running, waiting time.Duration, err error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return 0, 0, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	for _, thread := range threads {
		statistics, err := thread.Schedstat()
		if isGone(err) {
			continue
		}
		if err != nil {
			info, err := ReadProcess(pid)
			return info.CPUTime, 0, err
		}
		running += time.Duration(statistics.RunningNanoseconds)
		waiting += time.Duration(statistics.WaitingNanoseconds)
	}
	return running, waiting, nil
}

// ReadThreads returns what each thread of a process had of the processors, in order of
// their numbers. Threads that end meanwhile are left out.
func ReadThreads(pid int) ([]ThreadUse, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return nil, err
	}
	all, err := fs.AllThreads(pid)
	if err != nil {
		return nil, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	var threads []ThreadUse
	for _, thread := range all {
		status, err := thread.NewStatus()
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		stat, err := thread.Stat()
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		use := ThreadUse{TID: thread.PID, Sleeps: status.VoluntaryCtxtSwitches, Wants: stat.State == string(RunningState)}
		if statistics, err := thread.Schedstat(); err == nil {
			use.Running = time.Duration(statistics.RunningNanoseconds)
			use.Waiting = time.Duration(statistics.WaitingNanoseconds)
		} else { // no CONFIG_SCHED_INFO
			use.Running = time.Duration(stat.UTime+stat.STime) * time.Second / ticksPerSecond
		}
		threads = append(threads, use)
	}
	slices.SortFunc(threads, func(a, b ThreadUse) int { return cmp.Compare(a.TID, b.TID) })
	return threads, nil
}
