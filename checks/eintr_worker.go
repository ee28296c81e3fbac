// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"
	"syscall"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
)

var eintrWorker = judge.Check{
	Name:    "eintr-worker",
	Meaning: "a signal during a worker's read or write does not break its conversation",
	Defects: []string{"worker-exit-on-eintr", "short-write"},
	Needs:   []dialogue.Ability{dialogue.Answers, dialogue.Repeats},
	Run: func(c *judge.Case) {
		c.SmallBuffers()
		s := c.Start("")
		k := c.MustDial(0)
		c.MustServe(k.Exchange())

		// It waits in read for the client to speak.
		who := s.Serving(k)
		c.AwaitAsleep(who)
		woken, sent := s.PauseServing(k), judge.SignalTimes
		for _, signal := range caughtByAll(c, who) {
			for range judge.SignalTimes {
				woken += c.SendSignal(signal, who)
				sent++
			}
		}
		if err := k.Exchange(); err != nil {
			c.Fail("call read again on EINTR: a signal interrupts it, and if SO_RCVTIMEO is set, so do SIGSTOP and SIGCONT",
				"after %d signals during read the worker does not answer: %v", sent, err)
		}

		if c.Service.Lacks(dialogue.Bulk) != "" {
			c.MustServe(k.Finish())
			if woken == 0 {
				c.Broken("no signal woke the worker, so nothing is proved")
			}
			c.Note("signals woke the worker %s in read; the part about write needs a service with the ability %q", times(woken), dialogue.Bulk)
			return
		}

		// It waits in write for the client to read: once without a signal.
		if err := k.ReadBack(k.Fill()); err != nil {
			c.Skip("a client that reads late loses bytes even without signals (see slow-reader): %v", err)
		}
		var more uint64
		for range writeRounds {
			said := k.Fill()
			more += s.PauseServing(k)
			if err := k.ReadBack(said); err != nil {
				c.Fail("write the rest in a loop: a signal makes write return a short count or EINTR",
					"SIGSTOP and SIGCONT, %d times during write of %d bytes: %v", judge.SignalTimes, len(said), err)
			}
		}
		if err := k.Finish(); err != nil {
			c.Fail("repeat the call that failed with EINTR: a signal ended the conversation",
				"after signals during write the worker does not answer: %v", err)
		}
		if woken+more == 0 {
			c.Broken("no signal woke the worker, so nothing is proved")
		}
		c.Note("signals woke the worker %s in read and %s in write", times(woken), times(more))
	},
}

// caughtByAll are the signals that may be sent to any server, or that the user
// named, and which all the processes catch.
func caughtByAll(c *judge.Case, who rig.ProcessInfos) []syscall.Signal {
	candidates := append([]syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGCONT}, c.Subject.StormSignals...)
	slices.Sort(candidates)
	return slices.DeleteFunc(slices.Compact(candidates), func(signal syscall.Signal) bool {
		return slices.ContainsFunc(who, func(info rig.ProcessInfo) bool {
			masks, err := c.Host.Signals(info)
			return err != nil || !masks.Caught.Has(signal)
		})
	})
}
