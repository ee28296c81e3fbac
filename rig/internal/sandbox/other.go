// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandbox

import (
	"errors"
	"os"
)

func Run(Network, func() int) (int, error) { return 1, errors.ErrUnsupported }
func Inside() bool                         { return false }
func IsInit() bool                         { return false }
func IsFirst() bool                        { return false }
func Keep(uint64, int) error               { return errors.ErrUnsupported }
func Release(uint64) error                 { return errors.ErrUnsupported }
func InvokerOutput() *os.File              { return nil }
