// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var handlerSafety = judge.Check{
	Name:    "handler-safety",
	Meaning: "20,000 signals neither stop a listener that logs, forks and accepts nor change what its calls return",
	Defects: []string{"handler-locks", "handler-changes-errno"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		signals := s.NeutralSignals()
		if len(signals) == 0 {
			c.Skip("the check needs a signal that the listener catches and survives: it catches none of SIGCHLD, SIGURG and SIGCONT, and -storm-signals names no other")
		}
		const (
			all        = 20000
			rate       = 60000     // a second
			each       = rate / 10 // signals of a storm at least
			most       = rate      // and at most: it ends soon where the subject has stopped
			together   = 4         // clients
			minClients = 100
			maxStorms  = 100
			maxRounds  = 100 // of clients while one storm goes on
		)
		sent, alone, blown := 0, 0, time.Duration(0)
		hit := 0.0 // clients, by the share of signals that were taken one by one: where the listener waits for a processor, they merge
		storm := func() {
			f := &fault.Storm{MayIdle: true, Storm: rig.Storm{
				Signals: signals, Targets: s.ListenerTargets(), RatePerSecond: rate, Count: most}}
			c.Apply(f)
			clients := 0
			var failed error
			for round := 0; round < maxRounds && failed == nil && (round == 0 || f.SentAlone() < each && f.Sent() < most); round++ {
				failed = c.Visits(together, together)
				clients += together
			}
			result, err := f.Result()
			c.Must(err)
			sent += result.Sent
			alone += result.Alone
			blown += result.Duration
			hit += float64(clients*result.Alone) / float64(max(result.Sent, 1))
			if !c.ListensOn() {
				c.Fail(unsafeHandler, "%d signals %send the listener%s", sent, names(signals), s.HowItEnded())
			}
			if failed != nil {
				c.Fail(unsafeCalls, "during %d signals %sclients are not served: %v", sent, names(signals), failed)
			}
		}
		began := time.Now()
		for n := 0; n < maxStorms && (alone < all || hit < minClients) && time.Since(began) < rig.Scaled(longestStorms); n++ {
			storm()
		}
		s.AwaitWorkersEnd("the last client left")
		c.AwaitRest()
		for _, signal := range signals { // while it waits in accept, and has no worker
			c.SendSignal(signal, s.Listeners())
			if !c.ListensOn() {
				c.Fail(unsafeHandler, "%s while it has no worker ends the listener%s", rig.SignalName(signal), s.HowItEnded())
			}
		}
		if sent == 0 {
			c.Broken("no signal reached the listener, so nothing is proved")
		}
		s.MustSurvive("a storm of signals", unsafeHandler)
		if alone < all && float64(sent) < rate/10*blown.Seconds() {
			c.Broken("the machine is too busy: %d signals were sent within %v, and the listener took %d of them one by one; %d would prove something",
				sent, blown.Round(time.Second), alone, all)
		}
		c.Note("%s %swhile clients came", atLeast(alone, all), names(signals))
	},
}

// longestStorms is how long the check goes on at a listener that takes few of its signals.
const longestStorms = 30 * time.Second

// atLeast says how many signals were taken, and not more than were asked for: it differs from
// run to run.
func atLeast(n, enough int) string {
	if n >= enough {
		return fmt.Sprintf("at least %d signals", enough)
	}
	return fmt.Sprintf("%d signals", n)
}

// unsafeCalls is for a listener that lives and a client that is not served.
const unsafeCalls = "repeat a call that a signal interrupts (EINTR; with SO_RCVTIMEO or SO_SNDTIMEO even if the handler has SA_RESTART), " +
	"and restore errno at the end of the handler"

const unsafeHandler = "only set a flag or write to a pipe in the handler, and restore errno: " +
	"a handler may call only the functions in signal-safety(7)"
