// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// comeFirst gives this thread the highest priority of those that share the processors fairly
// (setpriority(2)). It needs CAP_SYS_NICE; without it nothing changes.
func comeFirst() {
	const highest = -20
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), highest)
}

// sleep sleeps in the kernel, or less long where a signal comes.
func (s *procSource) sleep(d time.Duration) {
	pause := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&pause, nil) // that it was interrupted changes nothing
}

// threadsOfMachine returns how many threads the machine has, ours and all others
// (proc_loadavg(5)), or as many as can be where that cannot be read.
func (s *procSource) threadsOfMachine() int {
	text, err := os.ReadFile(filepath.Join(s.root, "loadavg"))
	if err != nil {
		return math.MaxInt
	}
	return parseThreads(string(text))
}

// parseThreads reads a line such as "0.04 3.41 9.80 2/98 15749".
func parseThreads(line string) int {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return math.MaxInt
	}
	_, all, _ := strings.Cut(fields[3], "/")
	n, err := strconv.Atoi(all)
	if err != nil {
		return math.MaxInt
	}
	return n
}

func (s *procSource) count(root string) (processes, threads int) { return CountProcesses(root) }

// CountProcesses returns how many processes and threads the PID namespace has whose
// /proc is at root, or 0 where it has ended.
func CountProcesses(root string) (processes, threads int) {
	pids, err := listNumbers(root)
	if err != nil {
		return 0, 0
	}
	for _, pid := range pids {
		processes++
		// The directory has a link for each thread, and two of its own.
		var stat unix.Stat_t
		if unix.Stat(pathOf(root, pid, "task"), &stat) == nil {
			threads += int(stat.Nlink) - 2
		}
	}
	return processes, threads
}
