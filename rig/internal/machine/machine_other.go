// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package machine

import (
	"errors"
	"time"
)

func timePiece(func() (time.Duration, error)) (time.Duration, error) { return 0, errors.ErrUnsupported }
func processorTime() (time.Duration, error)                          { return 0, errors.ErrUnsupported }
func readLoad() float64                                              { return 0 }

func Processors() ([]int, error) { return nil, errors.ErrUnsupported }
func StayOn(int) error           { return errors.ErrUnsupported }
func On(int) (func(), error)     { return nil, errors.ErrUnsupported }
