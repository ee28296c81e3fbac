// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// announceFD is the descriptor of go test's standard error in the
// tests. It is absent where the tests were not started by go test.
const announceFD = 4

// openInvoker returns the working directory of the go test command that started
// this process, and its standard error. Both are zero where something else did,
// and the latter where it is a file: a file that is opened again is written from its
// beginning.
func openInvoker() (dir string, output *os.File) {
	parent := fmt.Sprintf("/proc/%d/", os.Getppid())
	program, err := os.Readlink(parent + "exe")
	if err != nil || filepath.Base(program) != "go" {
		return "", nil
	}
	commandLine, err := os.ReadFile(parent + "cmdline")
	if words := bytes.Split(commandLine, []byte{0}); err != nil || len(words) < 2 || string(words[1]) != "test" {
		return "", nil
	}
	dir, err = os.Readlink(parent + "cwd")
	if err != nil {
		return "", nil
	}
	path := parent + "fd/2"
	info, err := os.Stat(path)
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0 {
		return dir, nil
	}
	output, err = os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return dir, nil
	}
	return dir, output
}

// invokerOutput is go test's standard error, or nil. Set before the tests run.
var invokerOutput *os.File

// InvokerOutput returns go test's standard error, or nil.
func InvokerOutput() *os.File { return invokerOutput }

// takeInvokerOutput takes over the descriptor that init handed to the tests.
func takeInvokerOutput() {
	if os.Getenv(invokerOutputEnv) == "" {
		return
	}
	os.Unsetenv(invokerOutputEnv)
	unix.CloseOnExec(announceFD)
	invokerOutput = os.NewFile(announceFD, "standard error of go test")
}
