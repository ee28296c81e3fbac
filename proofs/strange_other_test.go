// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package proofs

import "syscall"

func pdeathsig() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func twoUsers([]string) int { return 1 }
