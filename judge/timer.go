// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"forkrig/rig"
)

// ReapedByTimer says whether the subject looks for ended workers now and then: it waits
// until one that has a timer has reaped them all.
func (s *Instance) ReapedByTimer() bool {
	if !s.Case.HasTimer(s.Listeners()) {
		return false
	}
	ctx, cancel := context.WithTimeout(s.Case.Context(), rig.Scaled(maxReapInterval))
	defer cancel()
	_, err := s.Case.Host.AwaitProcesses(ctx, "zombies reaped by a timer", func(l rig.ProcessInfos) bool { return len(l.Zombies()) == 0 })
	return err == nil
}

// maxReapInterval is how seldom a subject may look for ended workers and connections.
const maxReapInterval = 10 * time.Second

// UntilTimer is [Case.Until] for what processes may do only when they look after a while: where
// one of them waits with a timer, it goes on for as long as such a look may take.
func (c *Case) UntilTimer(who rig.ProcessInfos, what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	last, err = c.Until(what, seen)
	if !Hopeless(err) || !c.HasTimer(who) {
		return last, err
	}
	return c.Within(rig.Scaled(maxReapInterval), what, seen)
}

// Within waits until seen says yes, for so long at the most. The time in which a process of the
// subject waits for a device does not count: see [Case.AwaitsDevice].
func (c *Case) Within(longest time.Duration, what string, seen func() (yes bool, last string, err error)) (last string, err error) {
	looked, spent := time.Now(), time.Duration(0)
	err = rig.Await(c.Context(), what, func() (bool, string, error) {
		now := time.Now()
		if !c.AwaitsDevice() {
			spent += now.Sub(looked)
		}
		looked = now
		var yes bool
		var err error
		if yes, last, err = seen(); !yes && err == nil && spent >= longest {
			err = fmt.Errorf("%w within %v", rig.ErrNotObserved, longest)
		}
		return yes, last, err
	})
	return last, err
}

// Waits returns the calls in which threads of these processes wait, and which of them wait for
// the socket with the inode. It skips the check where the kernel does not show that
// ([rig.FeatureProcSyscall]).
func (c *Case) Waits(who rig.ProcessInfos, inode uint32) (waits []rig.Wait) {
	for _, info := range who {
		now, err := c.Host.Waits(info, inode)
		if !errors.Is(err, os.ErrNotExist) { // or it has ended
			c.Must(err)
		}
		waits = append(waits, now...)
	}
	return waits
}

// HasTimer says whether a process may be waiting with a timer of its own. It skips the check
// where the kernel does not show that ([rig.FeatureProcSyscall]).
func (c *Case) HasTimer(who rig.ProcessInfos) bool {
	has, err := c.timer(who)
	c.Must(err)
	return has
}

// MayHaveTimer is [Case.HasTimer] with the answer yes where the kernel does not show it.
func (c *Case) MayHaveTimer(who rig.ProcessInfos) bool {
	has, err := c.timer(who)
	return has || err != nil
}

func (c *Case) timer(who rig.ProcessInfos) (has bool, err error) {
	for _, info := range who {
		if c.CatchesAlarm(info) {
			return true, nil
		}
		timed, err := c.Host.WaitsWithTimer(info)
		if timed || err != nil && !errors.Is(err, os.ErrNotExist) { // or it has ended
			return timed, err
		}
	}
	return false, nil
}

// CatchesAlarm says whether the process may have set an alarm(2), which the kernel does not show.
// A runtime that catches every signal, as that of Go does, says nothing by it.
func (c *Case) CatchesAlarm(info rig.ProcessInfo) bool {
	masks, err := c.Host.Signals(info)
	return err == nil && masks.Caught.Has(syscall.SIGALRM) && !masks.Caught.Has(syscall.SIGVTALRM)
}
