// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"slices"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// SignalTimes is how often a signal is sent at each point of a conversation.
const SignalTimes = 5

// Serving returns the processes that have the subject's side of the connection
// open: its workers or, where there is no process per connection, the listener.
func (s *Instance) Serving(k *Conn) rig.ProcessInfos {
	inode, err := k.ServerInode()
	s.Case.Must(err)
	holders := s.Case.Holders(inode)
	if workers := slices.DeleteFunc(slices.Clone(holders), s.IsOwn); len(workers) > 0 {
		return workers
	}
	return holders
}

// PauseServing stops and continues the processes that serve the connection, [SignalTimes]
// times. No handler is needed for this to interrupt a call: reads and writes
// with a timeout give EINTR, and a write that has sent a part returns that part
// (signal(7)). It returns how many calls were woken.
func (s *Instance) PauseServing(k *Conn) (woken uint64) {
	who := s.Serving(k)
	if len(who) == 0 {
		s.Case.ConnectionEnded(k, "no process has the connection open")
	}
	for range SignalTimes {
		woken += s.Case.Pause(who)
	}
	return woken
}

// Pause stops the processes, waits until they have stopped, continues them and
// waits until they sleep again. It returns how many calls were woken.
func (c *Case) Pause(who rig.ProcessInfos) uint64 {
	c.Did(scorecard.EINTR)
	before := c.Wakeups(who)
	thaw := c.Apply(fault.Stop{Targets: c.Targets("the serving processes", who)})
	thaw()
	c.AwaitAsleep(who)
	return c.Wakeups(who) - before
}

// AwaitAsleep waits until the processes sleep or have ended. Where one never sleeps
// the wait ends as well: what the check looks at then says why.
func (c *Case) AwaitAsleep(who rig.ProcessInfos) {
	_, _ = c.Until("processes asleep", func() (bool, string, error) {
		all, err := c.Host.Processes()
		for _, info := range InBoth(all.Alive(), who) {
			if info.State != rig.Sleeping {
				return false, info.String(), err
			}
		}
		return true, "", err
	})
}

// SendSignal sends one signal to each of the processes and waits until it was delivered
// and they sleep again. It returns how many calls were woken.
func (c *Case) SendSignal(signal syscall.Signal, who rig.ProcessInfos) uint64 {
	before := c.Wakeups(who)
	c.Did(scorecard.EINTR)
	c.Apply(fault.Signal{Signal: signal, Targets: c.Targets("the serving processes", who)})
	_, _ = c.Until("the delivery of the signal", func() (bool, string, error) {
		for _, info := range who {
			masks, err := c.Host.Signals(info)
			if err == nil && masks.Pending.Has(signal) && !masks.Blocked.Has(signal) {
				return false, "it is pending", nil
			}
		}
		return true, "", nil
	})
	c.AwaitAsleep(who)
	return c.Wakeups(who) - before
}

// Wakeups is how often the processes have gone to sleep so far.
func (c *Case) Wakeups(who rig.ProcessInfos) uint64 {
	var sum uint64
	for _, info := range who {
		if n, err := c.Host.Wakeups(info); err == nil { // or it has ended
			sum += n
		}
	}
	return sum
}
