//go:build !linux

package proofs

import "syscall"

func pdeathsig() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
