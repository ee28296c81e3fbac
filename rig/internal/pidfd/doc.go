// SPDX-License-Identifier: Apache-2.0

// Package pidfd holds processes by descriptors (pidfd_open(2), Linux 5.3), so that a
// signal never hits another process that got the same number.
package pidfd

// CloseAll closes the handles.
func CloseAll(handles []*Process) {
	for _, h := range handles {
		h.Close()
	}
}
