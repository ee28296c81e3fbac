// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package population

import (
	"errors"
	"os/exec"
)

var ErrCannotRefuse = errors.ErrUnsupported

const Program = "rig:host"

// Population is a stand-in on systems that are not Linux.
type Population struct{}

func Begin(string, int) (*Population, error)     { return nil, errors.ErrUnsupported }
func (*Population) Gone() <-chan struct{}        { return nil }
func (*Population) Proc() string                 { return "" }
func (*Population) Init() int                    { return 0 }
func (*Population) Launch(*exec.Cmd, bool) error { return errors.ErrUnsupported }
func (*Population) RefuseForks() (func() error, error) {
	return nil, errors.ErrUnsupported
}
func (*Population) End() {}

func (*Population) Kill()           {}
func Main([]string) int             { return 1 }
func InnermostPID(int) (int, error) { return 0, errors.ErrUnsupported }
