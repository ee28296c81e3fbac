// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"maps"
	"os/exec"
)

// builtinPrefix begins the names of the helper programs that belong to the rig
// itself and that every binary has, whatever [Main] was given.
const builtinPrefix = "rig:"

// withBuiltins returns the programs of the user and those of the rig.
func withBuiltins(programs Programs) Programs {
	all := Programs{hostProgram: hostMain, clockProgram: clockMain, hogProgram: hogMain}
	maps.Copy(all, programs)
	return all
}

// builtinCommand returns a command that runs a program of the rig in the
// sandbox, beside the tests and on no host.
func builtinCommand(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(selfExecutable, args...)
	cmd.Args[0] = programPrefix + name
	return cmd
}
