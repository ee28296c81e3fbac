// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

type starter struct{ processors []int }

func newStarter() (*starter, error) {
	return nil, fmt.Errorf("forkrig needs Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (*starter) start(*exec.Cmd, []int) error { return errors.ErrUnsupported }

func endGroup(int) {}
