// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package inject

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"forkrig/rig"
)

// What follows lets programs that use the package compile on other systems,
// where every use of it ends in this error.
var errUnsupported = fmt.Errorf("failing system calls needs Linux on amd64 or arm64, this is %s on %s: %w",
	runtime.GOOS, runtime.GOARCH, errors.ErrUnsupported)

// Shim says that there is none.
func Shim([]string) int {
	fmt.Fprintln(os.Stderr, errUnsupported)
	return 1
}

func (*Session) start(context.Context, *rig.Host) error { return errUnsupported }
func notCaught(pid int, signal syscall.Signal) bool     { return false }
func (*Session) waiting() (waits bool, made int)        { return false, 0 }
