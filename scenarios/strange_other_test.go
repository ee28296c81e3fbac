//go:build !linux

package scenarios

import "syscall"

func pdeathsig() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
