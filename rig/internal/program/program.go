// SPDX-License-Identifier: Apache-2.0

// Package program starts the helper programs that live in the binary itself, so that one
// static file is the whole rig. argv[0] says which program a process is.
package program

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// prefix marks, in argv[0], a process that is a helper program of this binary. argv[0] and
// not the environment carries it, because an environment would be inherited by whatever
// the program starts.
const prefix = "forkrig:"

// Builtin begins the names of the programs that belong to the rig itself and that every
// binary has.
const Builtin = "rig:"

// Executable is the file of this binary, also where it has no name any more
// (proc_pid_exe(5)).
const Executable = "/proc/self/exe"

// A helper program may depend on its main thread: the kernel delivers signals that are
// sent to a process there first. Only an init function can make the main goroutine stay
// on it (package runtime, LockOSThread).
func init() {
	if Name(os.Args[0]) != "" {
		runtime.LockOSThread()
	}
}

// Arg0 is argv[0] of a process that runs the program of that name.
func Arg0(name string) string { return prefix + name }

// Name returns the name of the helper program that argv0 asks for, or "" where argv0 is
// an ordinary path.
func Name(argv0 string) string {
	name, found := strings.CutPrefix(argv0, prefix)
	if !found {
		return ""
	}
	return name
}

// Command returns a command that runs a program of this binary.
func Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(Executable, args...)
	cmd.Args[0] = Arg0(name)
	return cmd
}
