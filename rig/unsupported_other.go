// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// What follows lets programs that use the rig compile on other systems, where
// every use of it ends in this error.
var errUnsupported = fmt.Errorf("forkrig needs Linux, this is %s: run the tests on a Linux machine or in a virtual one: %w",
	runtime.GOOS, errors.ErrUnsupported)

func runInSandbox(func() int) (int, error) { return 1, errUnsupported }
func runAndAudit(func() int) int           { return 1 }

func checkSandbox() error { return errUnsupported }

func quitSignals() (signals <-chan os.Signal, restore func()) { return nil, func() {} }
func quitMyself()                                             {}

func namespacesInUse([]*Host) []error { return nil }

func manyUsers() bool { return false }
func processAttributes(credential *syscall.Credential, _ []uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential}
}
