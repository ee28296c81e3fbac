// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ReadWakeups returns how often the threads of a process have gone to sleep of their
// own accord (voluntary_ctxt_switches in proc_pid_status(5)).
func ReadWakeups(pid int) (n uint64, err error) {
	threads, err := ListThreads(pid)
	if err != nil {
		return 0, err
	}
	for _, tid := range threads {
		sleeps, err := readSleeps(pid, tid)
		if isGone(err) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read thread %d: %w", tid, err)
		}
		n += sleeps
	}
	return n, nil
}

// readSleeps returns how often a thread has gone to sleep of its own accord.
func readSleeps(pid, tid int) (uint64, error) {
	text, err := os.ReadFile(pathOf(procRoot, pid, "task", strconv.Itoa(tid), "status"))
	if err != nil {
		return 0, err
	}
	value, err := StatusField(text, "voluntary_ctxt_switches")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(value, 10, 64)
}

// readScheduled returns for how long a thread has run, and for how long it waited.
func readScheduled(pid, tid int) (running, waiting time.Duration, err error) {
	text, err := os.ReadFile(pathOf(procRoot, pid, "task", strconv.Itoa(tid), "schedstat"))
	if err != nil {
		return 0, 0, err
	}
	return parseScheduled(string(text))
}

// parseScheduled reads a line of schedstat: two times in nanoseconds, and how often the
// thread ran.
func parseScheduled(line string) (running, waiting time.Duration, err error) {
	if _, err := fmt.Sscanf(line, "%d %d", &running, &waiting); err != nil {
		return 0, 0, fmt.Errorf("parse the scheduling %q: %w", line, err)
	}
	return running, waiting, nil
}

// ReadScheduled returns for how long the threads of a process have run, and for how
// long they waited for a processor (/proc/PID/task/TID/schedstat). Where the kernel
// keeps no such statistics (CONFIG_SCHED_INFO) running is the processor time, and
// waiting 0.
func ReadScheduled(pid int) (running, waiting time.Duration, err error) {
	threads, err := ListThreads(pid)
	if err != nil {
		return 0, 0, err
	}
	for _, tid := range threads {
		ran, waited, err := readScheduled(pid, tid)
		switch {
		case err == nil:
			running, waiting = running+ran, waiting+waited
		case hasThread(pid, tid): // no CONFIG_SCHED_INFO
			info, err := ReadProcess(pid)
			return info.CPUTime, 0, err
		}
	}
	return running, waiting, nil
}

func hasThread(pid, tid int) bool {
	_, err := os.Stat(pathOf(procRoot, pid, "task", strconv.Itoa(tid)))
	return err == nil
}

// waitsInWrite says whether a thread waits for room in a pipe, such as that of its log, in write(2) or
// writev(2). It needs the right to trace the process; without it the answer is no.
func waitsInWrite(pid, tid int) bool {
	text, err := os.ReadFile(pathOf(procRoot, pid, "task", strconv.Itoa(tid), "syscall"))
	if err != nil {
		return false
	}
	b, _ := parseBlocked(string(text))
	if b.name != "write" && b.name != "writev" {
		return false
	}
	to, err := os.Readlink(pathOf(procRoot, pid, "fd", strconv.FormatUint(b.arguments[0], 10)))
	return err == nil && strings.HasPrefix(to, "pipe:")
}

// ReadThreads returns what each thread of a process had of the processors, in order of
// their numbers. Threads that end meanwhile are left out.
func ReadThreads(pid int) (threads []ThreadUse, err error) {
	var failed error
	err = eachThread(procRoot, pid, func(thread ProcessInfo) bool {
		use := ThreadUse{TID: thread.PID, Wants: isAwake(thread.State) || waitsInWrite(pid, thread.PID)}
		if use.Sleeps, failed = readSleeps(pid, thread.PID); isGone(failed) {
			failed = nil
			return true
		}
		var noStatistics error // no CONFIG_SCHED_INFO
		if use.Running, use.Waiting, noStatistics = readScheduled(pid, thread.PID); noStatistics != nil {
			use.Running = thread.CPUTime
		}
		threads = append(threads, use)
		return failed == nil
	})
	return threads, errors.Join(err, failed)
}
