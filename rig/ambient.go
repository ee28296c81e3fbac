// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"syscall"

	"forkrig/rig/internal/program"
)

// ambientProgram is the helper program that executes a command in its own place: the first
// execution gives the process its ambient capabilities, and only then it can enter a directory
// or execute a file by them (capabilities(7)).
const (
	ambientProgram = program.Builtin + "ambient"
	ambientFailed  = 126
)

// ambientArguments returns the command, from argv[0], that executes the file at path with
// these arguments, from argv[0], in the directory.
func ambientArguments(dir, path string, args []string) []string {
	return append([]string{program.Arg0(ambientProgram), dir, path}, args...)
}

// ambientMain is the helper program.
func ambientMain(args []string) int {
	if len(args) < 4 {
		fmt.Fprintln(os.Stderr, "forkrig: this program is for Command.Capabilities")
		return ambientFailed
	}
	err := os.Chdir(args[1])
	if err == nil {
		err = explainStartError(os.NewSyscallError("execve", syscall.Exec(args[2], args[3:], os.Environ())))
	}
	fmt.Fprintln(os.Stderr, "forkrig:", err) // otherwise it was executed
	return ambientFailed
}
