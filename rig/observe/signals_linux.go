// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadSignals reads the signal masks of a process. The error wraps os.ErrNotExist where
// it has ended.
func ReadSignals(pid int) (SignalMasks, error) { return readSignals(procRoot, pid) }

func readSignals(root string, pid int) (SignalMasks, error) {
	status, err := os.ReadFile(pathOf(root, pid, "status"))
	if err != nil {
		return SignalMasks{}, fmt.Errorf("read signals of process %d: %w", pid, err)
	}
	masks, err := parseSignals(status)
	if err != nil {
		return SignalMasks{}, fmt.Errorf("read signals of process %d: %w", pid, err)
	}
	return masks, nil
}

// signalLines is how many lines of /proc/PID/status are about signals.
const signalLines = 5

// parseSignals reads the signal lines of /proc/PID/status.
func parseSignals(status []byte) (SignalMasks, error) {
	var masks SignalMasks
	found := 0
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			continue
		}
		var set *SignalSet
		switch name {
		case "SigPnd", "ShdPnd":
			set = &masks.Pending
		case "SigBlk":
			set = &masks.Blocked
		case "SigIgn":
			set = &masks.Ignored
		case "SigCgt":
			set = &masks.Caught
		default:
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return SignalMasks{}, fmt.Errorf("parse %s: %w", name, err)
		}
		*set |= SignalSet(mask)
		found++
	}
	if err := lines.Err(); err != nil {
		return SignalMasks{}, fmt.Errorf("parse the status: %w", err)
	}
	if found < signalLines {
		return SignalMasks{}, fmt.Errorf("parse the status: %d of %d signal lines", found, signalLines)
	}
	return masks, nil
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
