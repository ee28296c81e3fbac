// SPDX-License-Identifier: Apache-2.0

package observe

import "fmt"

// ThreadsIn returns how many threads of a process are in the state and how many it
// has. Threads that have ended do not count.
func ThreadsIn(pid int, state ProcessState) (in, all int, err error) {
	err = eachThread(procRoot, pid, func(thread ProcessInfo) bool {
		if thread.State != Zombie {
			all++
			if thread.State == state {
				in++
			}
		}
		return true
	})
	return in, all, err
}

// ListThreads returns the numbers of the threads of a process.
func ListThreads(pid int) ([]int, error) { return listThreads(procRoot, pid) }

func listThreads(root string, pid int) ([]int, error) {
	threads, err := listNumbers(pathOf(root, pid, "task"))
	if err != nil {
		return nil, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	return threads, nil
}

// eachThread calls see with each thread of a process, until it says no.
func eachThread(root string, pid int, see func(thread ProcessInfo) bool) error {
	threads, err := listThreads(root, pid)
	if err != nil {
		return err
	}
	directory := pathOf(root, pid, "task")
	var buffer [statBytes]byte
	for _, tid := range threads {
		thread, err := readStat(pathOf(directory, tid, "stat"), buffer[:])
		if isGone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read thread %d: %w", tid, err)
		}
		if !see(thread) {
			return nil
		}
	}
	return nil
}
