package checks

import (
	"slices"
	"syscall"

	"forkrig/rig"
)

var eintrWorker = Check{
	Name:         "eintr-worker",
	Meaning:      "a signal during a worker's read or write does not break its conversation",
	Defects:      []string{"worker-exit-on-eintr", "short-write"},
	conversation: dialogue,
	run: func(c *Case) {
		c.smallBuffers()
		s := c.start("")
		k := c.mustDial(0)
		c.mustServe(k.exchange())

		// It waits in read for the client to speak.
		who := c.serving(s, k)
		c.asleep(who)
		woken, pauses := c.pauseServing(s, k)
		sent := pauses
		for _, signal := range c.caughtByAll(who) {
			for range signalTimes {
				woken += c.send(signal, who)
				sent++
			}
		}
		if err := k.exchange(); err != nil {
			c.fail("read gives EINTR when a signal interrupts it, and with SO_RCVTIMEO so do SIGSTOP and SIGCONT: call it again",
				"after %d signals during its read a client's worker does not answer: %v", sent, err)
		}

		// It waits in write for the client to read: once without a signal.
		if err := k.readBack(k.fill()); err != nil {
			c.skip("a client that reads late does not get all even without signals, see slow-reader: %v", err)
		}
		var more uint64
		for range partlyWritten {
			said := k.fill()
			n, pauses := c.pauseServing(s, k)
			more += n
			if err := k.readBack(said); err != nil {
				c.fail("a signal that interrupts write makes its count short, or gives EINTR: write the rest in a loop",
					"after %d pauses during its write, of %d bytes: %v", pauses, len(said), err)
			}
		}
		if err := k.finish(); err != nil {
			c.fail("a signal must not end a conversation", "after signals during its write a client's worker does not answer: %v", err)
		}
		if woken+more == 0 {
			c.broken("no signal woke the worker, so that nothing is proved")
		}
		c.note("signals woke the worker %d times in read and %d times in write", woken, more)
	},
}

// caughtByAll are the signals that may be sent to any server, or that the user
// named, and which all the processes catch.
func (c *Case) caughtByAll(who rig.ProcessInfos) []syscall.Signal {
	candidates := append([]syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGCONT}, c.subject.StormSignals...)
	slices.Sort(candidates)
	return slices.DeleteFunc(slices.Compact(candidates), func(signal syscall.Signal) bool {
		return slices.ContainsFunc(who, func(info rig.ProcessInfo) bool {
			masks, err := c.host.Signals(info)
			return err != nil || !masks.Caught.Has(signal)
		})
	})
}
