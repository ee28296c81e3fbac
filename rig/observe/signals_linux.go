// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
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

// parseSignals reads the signal lines of /proc/PID/status.
func parseSignals(status []byte) (masks SignalMasks, err error) {
	for field, set := range map[string]*SignalSet{"SigPnd": &masks.Pending, "ShdPnd": &masks.Pending,
		"SigBlk": &masks.Blocked, "SigIgn": &masks.Ignored, "SigCgt": &masks.Caught} {
		value, err := StatusField(status, field)
		mask, parseErr := strconv.ParseUint(value, 16, 64)
		if err = cmp.Or(err, parseErr); err != nil {
			return SignalMasks{}, fmt.Errorf("parse %s: %w", field, err)
		}
		*set |= SignalSet(mask)
	}
	return masks, nil
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
