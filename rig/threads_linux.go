package rig

import (
	"fmt"
	"os"
	"strconv"

	"github.com/prometheus/procfs"
)

// threadsIn returns how many threads of the process are in the state and how
// many it has. Threads that have ended do not count.
func threadsIn(pid int, state ProcessState) (in, all int, err error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return 0, 0, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	for _, thread := range threads {
		stat, err := thread.Stat()
		if isGone(err) || err == nil && (stat.State == string(Zombie) || stat.State == "X") {
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		all++
		if stat.State == string(state) {
			in++
		}
	}
	return in, all, nil
}

// threadsOf returns the numbers of the threads of a process.
func threadsOf(pid int) ([]int, error) {
	entries, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	var threads []int
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			threads = append(threads, number)
		}
	}
	return threads, nil
}
