// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package crashlog

import "errors"

// Log is a stand-in on systems that are not Linux.
type Log struct{}

func Open([]string) (*Log, error) { return nil, errors.ErrUnsupported }
func (*Log) Read() []string       { return nil }
