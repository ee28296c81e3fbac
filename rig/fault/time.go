// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"forkrig/rig"
)

// ClockJump makes the monotonic clocks of a process jump: it is killed and started
// again at once, and CLOCK_MONOTONIC and CLOCK_BOOTTIME show By more to it and to
// its descendants than to the process before (less, where By is negative; never
// less than 0). That is what a server sees that is restarted after the machine
// slept, or was moved or started anew. What restarts, and what was started, is
// [rig.Process.Latest] of Process.
//
// The clocks of a process that runs cannot be changed: time_namespaces(7) allows it
// only before the first process enters. And CLOCK_REALTIME cannot be virtualised at
// all: the time of day stays that of the machine, which the rig never sets.
//
// It cannot be healed, but another jump leads back. Requires
// [rig.FeatureTimeNamespace].
type ClockJump struct {
	Process *rig.Process
	By      time.Duration
}

func (c ClockJump) String() string {
	return fmt.Sprintf("%s is killed and started again, %s", nameOfProcess(c.Process), jump(c.By))
}

// Break implements [Fault].
func (c ClockJump) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if c.By == 0 {
		return nil, errors.New("the jump By is 0: give the time by which the clock jumps, or use Restart")
	}
	return Restart{Process: c.Process, ClockJump: c.By}.Break(ctx, lab)
}

func jump(by time.Duration) string {
	if by < 0 {
		return fmt.Sprintf("its clocks %v back", -by)
	}
	return fmt.Sprintf("its clocks %v ahead", by)
}

// Busy keeps the machine busy with processes that compute without a pause: Hogs of
// them, or one on each processor that the tests may use where that is 0. Everything
// in the lab becomes slower, the rig itself included, and nothing else changes; so
// it shows what depends on speed. It is broken when each of them has used processor
// time, and healed when they are gone. See [rig.Lab.StartHogs].
type Busy struct {
	Hogs int
}

func (b Busy) String() string {
	if b.Hogs == 0 {
		return "every processor is busy"
	}
	return fmt.Sprintf("%d processes keep the processors busy", b.Hogs)
}

// Break implements [Fault].
func (b Busy) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	hogs, err := lab.StartHogs(ctx, b.Hogs)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return hogs.Stop() }, nil
}
