// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"forkrig/rig/internal/clock"
)

// maxClock is the most that the kernel lets a clock show (KTIME_SEC_MAX/2,
// kernel/time/namespace.c): some 146 years.
const maxClock = time.Duration(math.MaxInt64 / 2)

// checkClock says whether the clocks can be set off by so much.
func (c Command) checkClock() error {
	if c.ClockOffset == 0 {
		return nil
	}
	if now := clock.Monotonic(); c.ClockOffset < -now || c.ClockOffset > maxClock-now {
		return fmt.Errorf("start %s: a clock offset of %v: the clock shows %v and can be set from 0 to %v: give from %v to %v",
			c.name(), c.ClockOffset, now.Round(time.Second), maxClock.Round(time.Hour), -now.Truncate(time.Second), (maxClock - now).Truncate(time.Hour))
	}
	return nil
}

// inItsTime returns the command that starts c under its clocks: c itself where
// they are those of the machine.
func (c Command) inItsTime() (Command, error) {
	if c.ClockOffset == 0 {
		return c, nil
	}
	if err := c.checkClock(); err != nil {
		return c, err
	}
	if missing, err := clock.Works(); missing {
		return c, &MissingError{Feature: FeatureTimeNamespace, Err: err,
			Remedy: "use Linux 6.2 or later with CONFIG_TIME_NS, and run with CAP_SYS_ADMIN and CAP_SYS_TIME (sudo; in a container: --privileged)"}
	} else if err != nil {
		return c, err
	}
	path, err := c.Executable()
	if err != nil {
		return c, err
	}
	user := ""
	credential, err := credentialOf(c.User)
	if err != nil {
		return c, err
	}
	if credential != nil {
		user = fmt.Sprintf("%d:%d", credential.Uid, credential.Gid)
	}
	c.Args = clock.Arguments(c.ClockOffset, user, path, c.Args)
	c.User = ""
	return c, nil
}

// awaitItsTime waits until the process has executed its command under its
// clocks.
func (p *Process) awaitItsTime() error {
	if p.Command.ClockOffset == 0 {
		return nil
	}
	return Await(context.Background(), fmt.Sprintf("%v under its clocks", p), func() (bool, string, error) {
		running := p.Running()
		if running && !clock.Runs(p.PID) {
			return true, "", nil
		}
		if running {
			return false, "the command is not executed yet", nil
		}
		p.awaitOutput(context.Background())
		if last := p.Stderr.Last(1); p.exit().Code == clock.Failed && len(last) > 0 {
			if reason, failed := strings.CutPrefix(last[0], clock.Failure); failed {
				return false, "", errors.New(reason)
			}
		}
		return true, "", nil // it was executed, and has ended already
	})
}
