// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pidfd

import (
	"errors"
	"syscall"
	"time"
)

// Process is a stand-in on systems that are not Linux.
type Process struct {
	PID     int
	Threads []int
}

func Open(int) (*Process, error)                        { return nil, errors.ErrUnsupported }
func (*Process) Signal(syscall.Signal) error            { return errors.ErrUnsupported }
func (*Process) SignalThread(syscall.Signal, int) error { return errors.ErrUnsupported }
func (*Process) Queue(syscall.Signal, int, int32) error { return errors.ErrUnsupported }
func (*Process) Ran() (time.Duration, error)            { return 0, errors.ErrUnsupported }
func (*Process) Dead() (bool, error)                    { return false, errors.ErrUnsupported }
func (*Process) ReapTraced([]int)                       {}
func (*Process) Close()                                 {}
