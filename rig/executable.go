// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os/exec"
)

// Executable checks the command and returns the file that it executes, for
// callers that start it by another program. The error is that of [Host.Start].
func (c Command) Executable() (path string, err error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if programName(c.Args[0]) != "" {
		return selfExecutable, nil
	}
	cmd := exec.Command(c.Args[0])
	if cmd.Err != nil {
		return "", fmt.Errorf("start %s: %w", c.name(), explainStartError(cmd.Err))
	}
	return cmd.Path, nil
}

// selfExecutable is the file of this binary, also where it has no name any more
// (proc_pid_exe(5)).
const selfExecutable = "/proc/self/exe"

// StartError returns what the kernel answered to the execution of the command as
// [Host.Start] reports it.
func (h *Host) StartError(c Command, err error) error {
	return fmt.Errorf("start %s on %s: %w", c.name(), h.Name, explainStartError(err))
}
