// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package rlimit

import "errors"

const OpenFiles, UserProcesses, FileSize, Memory = 0, 1, 2, 3

func SetSoft(int, int, uint64) (uint64, error) { return 0, errors.ErrUnsupported }
