// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package boot

import (
	"errors"
	"os/exec"
)

// process is a guest's process: there is none on other systems.
type process struct{}

func start(*exec.Cmd) (*process, error) {
	return nil, errors.New("guests need Linux")
}

func (p *process) kill()        {}
func (p *process) wait() string { return "" }

func memoryDir(otherwise string, _ int) string { return otherwise }

// Init returns: there are no guests on other systems.
func Init() {}
