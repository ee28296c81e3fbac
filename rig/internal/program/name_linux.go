// SPDX-License-Identifier: Apache-2.0

package program

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetProcessName gives the process the name that ps(1) and /proc show (PR_SET_NAME in
// prctl(2)); without it every helper program would be called exe. The caller is on the main
// thread.
func SetProcessName(name string) {
	if text, err := unix.BytePtrFromString(name); err == nil {
		_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0) // the name is for people only
	}
}
