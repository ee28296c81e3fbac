package checks

import (
	"syscall"

	"forkrig/rig"
)

var signalStorm = Check{
	Name:    "signal-storm",
	Meaning: "conversations during a storm of signals lose no connection and no byte",
	Defects: []string{"exit-on-eintr", "worker-exit-on-eintr"},
	clients: 2,
	run: func(c *Case) {
		s := c.start("")
		c.mustServe(c.visit(0))
		storm := rig.Storm{
			Signals:       append(s.neutral(), syscall.SIGSTOP, syscall.SIGCONT),
			Targets:       []rig.Target{s.listening()},
			RatePerSecond: 2000,
		}
		onListener, err := c.lab.StartStorm(storm)
		c.must(err)
		// Workers get what needs no handler: theirs are not known before they are there.
		storm.Signals = []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}
		storm.Targets = []rig.Target{s.serving()}
		onWorkers, err := c.lab.StartStorm(storm)
		c.must(err)
		listeners := s.listeners()
		before := c.wakeups(listeners)
		// As long as it takes until many signals came at all points of a conversation.
		const many, mostRounds = 500, 20
		var failed error
		for round := 0; failed == nil && round < mostRounds && (onListener.Sent() < many || onWorkers.Sent() < many); round++ {
			failed = c.storming()
		}
		listenerStorm, err := onListener.Stop()
		c.must(err)
		workerStorm, err := onWorkers.Stop()
		c.must(err)
		_, err = c.lab.SignalAll(syscall.SIGCONT, c.host.Matching("every process", nil))
		c.must(err)
		woken := c.wakeups(listeners) - before
		if !s.listensOn() {
			c.fail("accept, wait and poll give EINTR when a handler without SA_RESTART has run: call them again",
				"the storm (%v) ends the listener%s", listenerStorm, s.howItEnded())
		}
		if failed != nil {
			c.fail("a call that a signal interrupts gives EINTR or a short count: call it again, with what is left",
				"during the storm (%v) conversations break: %v", listenerStorm, failed)
		}
		s.converses("the listener does not serve after the storm")
		if listenerStorm.Sent == 0 || woken == 0 {
			c.broken("the storm woke nobody, so that nothing is proved: %v", listenerStorm)
		}
		c.note("%d signals at the listener, %d at workers", listenerStorm.Sent, workerStorm.Sent)
	},
}

// storming lets clients converse while a storm goes on.
func (c *Case) storming() error {
	if c.subject.Closes == Server || c.subject.Service == None {
		return c.crowd(40, 4)
	}
	const clients, messages = 8, 25
	errs := make([]error, clients)
	done := make(chan struct{})
	for i := range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			k, err := c.dial(i)
			for range messages {
				if err != nil {
					break
				}
				err = k.exchange()
			}
			if err == nil {
				err = k.finish()
			}
			errs[i] = err
		}()
	}
	for range clients {
		<-done
	}
	return summary(errs)
}
