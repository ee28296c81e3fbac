// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ReadLimits reads the resource limits of a process.
func ReadLimits(pid int) (Limits, error) {
	text, err := os.ReadFile(pathOf(procRoot, pid, "limits"))
	if err != nil {
		return nil, fmt.Errorf("read limits of process %d: %w", pid, err)
	}
	return parseLimits(string(text))
}

// ReadUser reads the effective user of a process.
func ReadUser(pid int) (uid uint32, err error) {
	status, err := os.ReadFile(pathOf(procRoot, pid, "status"))
	if err == nil {
		uid, err = parseUser(status)
	}
	if err != nil {
		return 0, fmt.Errorf("read the user of process %d: %w", pid, err)
	}
	return uid, nil
}

// parseUser reads the second number of the line Uid in /proc/PID/status.
func parseUser(status []byte) (uint32, error) {
	text, err := StatusField(status, "Uid")
	if numbers := strings.Fields(text); len(numbers) > 1 {
		uid, err := strconv.ParseUint(numbers[1], 10, 32)
		return uint32(uid), err
	}
	return 0, cmp.Or(err, errors.New("there is one number"))
}

// ReadProgram reads which file a process executes.
func ReadProgram(pid int) (string, error) {
	path, err := os.Readlink(pathOf(procRoot, pid, "exe"))
	if err != nil {
		return "", fmt.Errorf("read the program of process %d: %w", pid, err)
	}
	return path, nil
}
