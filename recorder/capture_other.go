// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package recorder

import (
	"errors"
	"time"

	"forkrig/rig"
)

type capture struct {
	host    *rig.Host
	dropped uint32
}

type captured struct {
	at     time.Time
	stamp  int64
	index  int
	sent   bool
	detour bool
	length int
	data   []byte
}

func startCapture(*rig.Host, func(captured)) (*capture, error) {
	return nil, errors.New("capture packets: this needs Linux")
}

func (c *capture) stop() error { return nil }
