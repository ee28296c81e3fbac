// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"

	"forkrig/rig"
)

// Gained returns the descriptors of now whose numbers are not open in before.
// Anonymous ones (epoll, eventfd, …) are those of a runtime, which may
// open them when it first needs them.
func Gained(before, now rig.FDs) rig.FDs {
	open := map[int]bool{}
	for _, fd := range before {
		open[fd.Number] = true
	}
	var found rig.FDs
	for _, fd := range now {
		if !open[fd.Number] && fd.Kind != rig.FDAnon {
			found = append(found, fd)
		}
	}
	return found
}

// Kinds counts descriptors by kind.
func Kinds(fds rig.FDs) string {
	text := ""
	for _, kind := range []rig.FDKind{rig.FDSocket, rig.FDPipe, rig.FDFile, rig.FDOther} {
		if n := len(fds.Of(kind)); n > 0 {
			text += fmt.Sprintf("%d of kind %s ", n, kind)
		}
	}
	return text + "(" + fds[0].Target + ")"
}
