// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"sync"
	"syscall"
	"time"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
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
			Targets:       s.ListenerTargets(),
			RatePerSecond: 2000,
			Duration:      rig.Scaled(longestStorm), // during a storm no subject is seen to be stuck
		}
		onListener := &fault.Storm{Storm: storm, MayIdle: true}
		c.Apply(onListener)
		// Workers get the signals that need no handler: the handlers of workers are not known yet.
		storm.Signals = []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}
		storm.Targets = s.WorkerTargets()
		onWorkers := &fault.Storm{Storm: storm, MayIdle: true}
		c.Apply(onWorkers)
		listeners := s.Listeners()
		before := c.Wakeups(listeners)
		// Clients converse until many signals have come, so that all points of a conversation are hit.
		// Where a client says one round only, a turn is shorter: a listener that sleeps between two
		// clients needs a second for each.
		const many = 500
		maxRounds := 20
		if c.Service.Lacks(dialogue.Repeats) != "" {
			maxRounds = 100
		}
		var failed error
		enough := func() bool {
			toWorkers := onWorkers.Sent()
			return onListener.Sent() >= many && (toWorkers >= many || toWorkers == 0) // 0: it has no workers
		}
		began := time.Now()
		for round := 0; failed == nil && (round == 0 || round < maxRounds && !enough() && time.Since(began) < rig.Scaled(longestStorm)); round++ {
			failed = converse(c)
		}
		listenerStorm, err := onListener.Result()
		c.Must(err)
		workerStorm, err := onWorkers.Result()
		c.Must(err)
		woken := c.Wakeups(listeners) - before
		if !c.ListensOn() {
			c.Fail("repeat accept, wait and poll on EINTR: a signal handler without SA_RESTART interrupts them",
				"the storm (%v) ends the listener%s", listenerStorm, s.HowItEnded())
		}
		if failed != nil {
			c.Fail("repeat read and write for the rest after EINTR or a short count: a signal causes both, and with SO_RCVTIMEO or SO_SNDTIMEO even if its handler has SA_RESTART",
				"during the storm (%v) conversations break: %v", listenerStorm, failed)
		}
		c.MustServe(c.Visit(0))
		if listenerStorm.Sent == 0 || woken == 0 {
			c.Broken("the storm woke no process, so nothing is proved: %v", listenerStorm)
		}
		c.Note("%d signals to the listener, %d to workers", listenerStorm.Sent, workerStorm.Sent)
	},
}

// longestStorm is how long a storm goes on at a server that makes its clients wait.
const longestStorm = 10 * time.Second

// converse lets clients converse while a storm goes on.
func converse(c *judge.Case) error {
	if c.Service.Lacks(dialogue.Repeats) != "" {
		return c.Visits(8, 4)
	}
	const clients, messages = 8, 25
	errs := make([]error, clients)
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			k, err := c.Dial(i)
			for n := 0; n < messages && err == nil; n++ {
				err = k.Exchange()
			}
			if err == nil {
				err = k.Finish()
			}
			errs[i] = err
		})
	}
	wait.Wait()
	return judge.Summary(errs)
}
