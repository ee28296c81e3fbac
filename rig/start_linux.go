// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"
	"strings"
	"syscall"
)

// processAttributes makes the process leader of its own session: signals to
// its group and a hang-up of a terminal stay its own affair. The capabilities are ambient
// ones, of a process with a credential.
func processAttributes(credential *syscall.Credential, capabilities []uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: credential, AmbientCaps: capabilities}
}

// manyUsers says whether the user namespace has more than one user, so that a
// process can be started as another.
func manyUsers() bool {
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(uidMap))
	return len(fields) != 3 || fields[2] != "1"
}
