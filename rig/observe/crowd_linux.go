// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// machine returns how many threads the machine has, ours and all others, or as many as can be
// where that cannot be read, and the number that the kernel gave last to a process or thread of
// this PID namespace and those below it (proc_loadavg(5)).
func (s *procSource) machine() (threads, last int) {
	text, err := os.ReadFile(filepath.Join(s.root, "loadavg"))
	if err != nil {
		return math.MaxInt, 0
	}
	return parseMachine(string(text))
}

// parseMachine reads a line such as "0.04 3.41 9.80 2/98 15749".
func parseMachine(line string) (threads, last int) {
	var load float64
	var running int
	if n, _ := fmt.Sscanf(line, "%f %f %f %d/%d %d", &load, &load, &load, &running, &threads, &last); n < 6 {
		return math.MaxInt, 0
	}
	return threads, last
}

func (s *procSource) count(root string, most int) (processes, threads int) {
	return CountProcesses(root, most)
}

// CountProcesses returns how many processes and threads the PID namespace has whose
// /proc is at root, or 0 where it has ended. Where there are more than most processes it counts
// no threads but the main ones, which would take its time.
func CountProcesses(root string, most int) (processes, threads int) {
	pids, err := listNumbers(root)
	if err != nil {
		return 0, 0
	}
	processes = len(pids)
	if processes > most {
		return processes, processes
	}
	for _, pid := range pids {
		// The directory has a link for each thread, and two of its own.
		var stat unix.Stat_t
		if unix.Stat(pathOf(root, pid, "task"), &stat) == nil {
			threads += int(stat.Nlink) - 2
		}
	}
	return processes, threads
}
