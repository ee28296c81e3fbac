// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
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

type namespace struct{ inode uint64 }

func (*namespace) fd() int                                        { return -1 }
func newNamespace() (*namespace, error)                           { return nil, errUnsupported }
func (*namespace) do(func() error) error                          { return errUnsupported }
func (*namespace) sockets() (Sockets, error)                      { return nil, errUnsupported }
func (*namespace) destroyOrphans() (Sockets, error)               { return nil, errUnsupported }
func (*namespace) destroyMatching(func(Socket) bool) (int, error) { return 0, errUnsupported }
func (*namespace) end() error                                     { return errUnsupported }
func namespacesInUse([]*Host) []error                             { return nil }
func createVeth(a, b *device) error                               { return errUnsupported }
func (*device) up() error                                         { return errUnsupported }
func (*device) down() error                                       { return errUnsupported }
func (*device) routes() error                                     { return errUnsupported }
func (*device) awaitCarrier(context.Context) error                { return errUnsupported }
func (*device) awaitAddress(context.Context) error                { return errUnsupported }
func (*device) address() error                                    { return errUnsupported }
func (*device) isUp() (bool, error)                               { return false, errUnsupported }
func (*device) hardwareAddress() (net.HardwareAddr, error)        { return nil, errUnsupported }
func (*device) setSegmentation(bool) error                        { return errUnsupported }
func (*device) setNeighbours(*device, net.HardwareAddr, bool) error {
	return errUnsupported
}

func manyUsers() bool { return false }
func processAttributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential}
}
