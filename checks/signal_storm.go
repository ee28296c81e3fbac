// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
)

var signalStorm = judge.Check{
	Name:    "signal-storm",
	Meaning: "conversations during a storm of signals lose no connection and no byte",
	Defects: []string{"exit-on-eintr", "worker-exit-on-eintr"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		storm := rig.Storm{
			Signals:       append(s.NeutralSignals(), syscall.SIGSTOP, syscall.SIGCONT),
			Targets:       []rig.Target{s.ListenersTarget()},
			RatePerSecond: 2000,
		}
		onListener, err := c.Lab.StartStorm(storm)
		c.Must(err)
		// Workers get what needs no handler: theirs are not known before they are there.
		storm.Signals = []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}
		storm.Targets = []rig.Target{s.WorkersTarget()}
		onWorkers, err := c.Lab.StartStorm(storm)
		c.Must(err)
		listeners := s.Listeners()
		before := c.Wakeups(listeners)
		// As long as it takes until many signals came at all points of a conversation.
		const many, mostRounds = 500, 20
		var failed error
		for round := 0; failed == nil && round < mostRounds && (onListener.Sent() < many || onWorkers.Sent() < many); round++ {
			failed = storming(c)
		}
		listenerStorm, err := onListener.Stop()
		c.Must(err)
		workerStorm, err := onWorkers.Stop()
		c.Must(err)
		_, err = c.Lab.SignalAll(syscall.SIGCONT, c.Host.Matching("every process", nil))
		c.Must(err)
		woken := c.Wakeups(listeners) - before
		if !s.ListensOn() {
			c.Fail("accept, wait and poll give EINTR when a handler without SA_RESTART has run: call them again",
				"the storm (%v) ends the listener%s", listenerStorm, s.HowItEnded())
		}
		if failed != nil {
			c.Fail("a call that a signal interrupts gives EINTR or a short count: call it again, with what is left",
				"during the storm (%v) conversations break: %v", listenerStorm, failed)
		}
		s.MustServe("the listener does not serve after the storm")
		if listenerStorm.Sent == 0 || woken == 0 {
			c.Broken("the storm woke nobody, so that nothing is proved: %v", listenerStorm)
		}
		c.Note("%d signals at the listener, %d at workers", listenerStorm.Sent, workerStorm.Sent)
	},
}

// storming lets clients converse while a storm goes on.
func storming(c *judge.Case) error {
	if c.Subject.Closes == judge.Server || c.Subject.Service == judge.None {
		return c.Visits(40, 4)
	}
	const clients, messages = 8, 25
	errs := make([]error, clients)
	done := make(chan struct{})
	for i := range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			k, err := c.Dial(i)
			for range messages {
				if err != nil {
					break
				}
				err = k.Exchange()
			}
			if err == nil {
				err = k.Finish()
			}
			errs[i] = err
		}()
	}
	for range clients {
		<-done
	}
	return judge.Summary(errs)
}
