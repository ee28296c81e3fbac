// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// ReadFDs reads the open descriptors of a process. Of one that runs as another user it
// needs CAP_SYS_PTRACE. The error wraps os.ErrNotExist where the process has ended.
func ReadFDs(pid int) (FDs, error) { return readFDs(procRoot, pid) }

func readFDs(root string, pid int) (FDs, error) {
	dir := pathOf(root, pid, "fd")
	entries, err := os.ReadDir(dir)
	if len(entries) == 0 { // the first thread has none any more once it has ended
		threads, _ := listThreads(root, pid)
		for _, tid := range threads {
			ofThread := pathOf(root, pid, "task", strconv.Itoa(tid), "fd")
			if others, otherErr := os.ReadDir(ofThread); len(others) > 0 {
				dir, entries, err = ofThread, others, otherErr
				break
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list descriptors of process %d: %w", pid, err)
	}
	fds := FDs{}
	var denied error
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil { // closed since the listing
			if errors.Is(err, os.ErrPermission) {
				denied = err
			}
			continue
		}
		fds = append(fds, fdOf(number, target))
	}
	if len(fds) == 0 && denied != nil {
		return nil, fmt.Errorf("read descriptors of process %d: %w", pid, denied)
	}
	return fds, nil
}
