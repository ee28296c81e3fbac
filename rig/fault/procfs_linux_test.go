// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"testing"

	"github.com/prometheus/procfs"

	"forkrig/rig"
)

// threadStates counts the threads of a process by their states.
func threadStates(tb testing.TB, pid int) map[rig.ProcessState]int {
	tb.Helper()
	counts := map[rig.ProcessState]int{}
	threads, err := procfs.AllThreads(pid)
	if err != nil {
		return counts // it has ended
	}
	for _, thread := range threads {
		if stat, err := thread.Stat(); err == nil {
			counts[rig.ProcessState(stat.State[0])]++
		}
	}
	return counts
}
