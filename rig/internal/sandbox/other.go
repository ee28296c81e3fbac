// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandbox

import (
	"errors"
	"os"
)

func Run(Network, func() int) (int, error)          { return 1, errors.ErrUnsupported }
func Inside() bool                                  { return false }
func IsInit() bool                                  { return false }
func IsFirst() bool                                 { return false }
func InvokerOutput() *os.File                       { return nil }
func ExplainNamespaceError(err error, _ bool) error { return err }
