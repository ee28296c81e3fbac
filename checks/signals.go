package checks

import (
	"slices"
	"syscall"

	"forkrig/rig"
)

// signalTimes is how often a signal is sent at each point of a conversation.
const signalTimes = 5

// serving returns the processes that have the subject's side of the connection
// open: its workers or, where there is no process per connection, the listener.
func (c *Case) serving(s *server, k *conn) rig.ProcessInfos {
	inode, err := k.serverInode()
	c.must(err)
	holders := c.holders(inode)
	if workers := slices.DeleteFunc(slices.Clone(holders), s.isOwn); len(workers) > 0 {
		return workers
	}
	return holders
}

// pauseServing stops and continues the processes that serve the connection, a
// few times. No handler is needed for this to interrupt a call: reads and writes
// with a timeout give EINTR, and a write that has sent a part returns that part
// (signal(7)). It returns how often the processes were woken, and how often they
// were paused.
func (c *Case) pauseServing(s *server, k *conn) (woken uint64, pauses int) {
	who := c.serving(s, k)
	if len(who) == 0 {
		c.broken("no process has the connection open")
	}
	for range signalTimes {
		woken += c.pause(who)
	}
	return woken, signalTimes
}

// pause stops the processes, waits until they have stopped, continues them and
// waits until they sleep again. It returns how many calls were woken.
func (c *Case) pause(who rig.ProcessInfos) uint64 {
	target := c.host.Matching("those that serve", func(i rig.ProcessInfo) bool { return slices.ContainsFunc(who, i.Same) })
	before := c.wakeups(who)
	c.stop(target, who)
	c.thaw(target)
	c.asleep(who)
	return c.wakeups(who) - before
}

// freeze stops the listener and its helpers, and returns when they have stopped:
// until then an accept that waits may still take a connection.
func (s *server) freeze() { s.c.stop(s.starters(), s.own) }

// thaw lets what was stopped go on.
func (c *Case) thaw(target rig.Target) {
	_, err := c.lab.SignalAll(syscall.SIGCONT, target)
	c.must(err)
}

// stop stops the target, which is who, and waits until they have stopped.
func (c *Case) stop(target rig.Target, who rig.ProcessInfos) {
	_, err := c.lab.SignalAll(syscall.SIGSTOP, target)
	c.must(err)
	_, err = c.host.AwaitProcesses(c.tb.Context(), "processes stopped", func(all rig.ProcessInfos) bool {
		return !slices.ContainsFunc(all.Alive(), func(info rig.ProcessInfo) bool {
			return info.State != rig.Stopped && slices.ContainsFunc(who, info.Same)
		})
	})
	c.must(err)
}

// asleep waits until the processes sleep or have ended. Where one never sleeps
// the wait ends as well: what the check looks at then says why.
func (c *Case) asleep(who rig.ProcessInfos) {
	_, _ = c.until("processes asleep", func() (bool, string, error) {
		all, err := c.host.Processes()
		for _, info := range inBoth(all.Alive(), who) {
			if info.State != rig.Sleeping {
				return false, info.String(), err
			}
		}
		return true, "", err
	})
}

// send sends one signal to each of the processes and waits until it was taken
// and they sleep again. It returns how many calls were woken.
func (c *Case) send(signal syscall.Signal, who rig.ProcessInfos) uint64 {
	before := c.wakeups(who)
	_, err := c.lab.SignalAll(signal, c.host.Matching("those that serve", func(i rig.ProcessInfo) bool {
		return slices.ContainsFunc(who, i.Same)
	}))
	c.must(err)
	_, _ = c.until("the signal to be taken", func() (bool, string, error) {
		for _, info := range who {
			masks, err := c.host.Signals(info)
			if err == nil && masks.Pending.Has(signal) && !masks.Blocked.Has(signal) {
				return false, "it is pending", nil
			}
		}
		return true, "", nil
	})
	c.asleep(who)
	return c.wakeups(who) - before
}

// wakeups is how often the processes have gone to sleep so far.
func (c *Case) wakeups(who rig.ProcessInfos) uint64 {
	var sum uint64
	for _, info := range who {
		if n, err := c.host.Wakeups(info); err == nil { // or it has ended
			sum += n
		}
	}
	return sum
}
