// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"context"
	"errors"
	"os"
	"slices"
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

// maxReapInterval is how seldom a subject may look for ended workers.
const maxReapInterval = 10 * time.Second

// HasTimer says whether a process may be waiting with a timer of its own. It skips the check
// where the kernel does not show that ([rig.FeatureProcSyscall]).
func (c *Case) HasTimer(who rig.ProcessInfos) bool {
	return slices.ContainsFunc(who, func(info rig.ProcessInfo) bool {
		masks, err := c.Host.Signals(info)
		if err == nil && masks.Caught.Has(syscall.SIGALRM) {
			return true
		}
		timed, err := c.Host.WaitsWithTimer(info)
		if !errors.Is(err, os.ErrNotExist) { // or it has ended
			c.Must(err)
		}
		return timed
	})
}
