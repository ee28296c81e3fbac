// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package clock

import (
	"errors"
	"time"
)

const (
	Program = "rig:clock"
	Failed  = 126
	Failure = ""
)

func Arguments(time.Duration, string, string, []string) []string { return nil }
func Runs(int) bool                                              { return false }
func Monotonic() time.Duration                                   { return 0 }
func Works() (bool, error)                                       { return false, errors.ErrUnsupported }
func Main(func(error) error) func([]string) int                  { return func([]string) int { return Failed } }
