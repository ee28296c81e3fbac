// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package doctor

import "os/exec"

// runWithParent runs the command. Nothing calls it: the rig needs Linux.
func runWithParent(child *exec.Cmd) error { return child.Run() }
