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
		var total rig.StormResult
		pace := float64(rate)
		underFire := 0.0 // clients, by the share of signals that the listener took one by one: the others merge
		began, longest := time.Now(), rig.Scaled(longestStorms)
		inTime := func() bool { return time.Since(began) < longest }
		storm := func() {
			f := &fault.Storm{MayIdle: true, Storm: rig.Storm{
				Signals: signals, Targets: s.ListenerTargets(), RatePerSecond: pace, Count: most}}
			c.Apply(f)
			clients := 0
			var failed error
			for round := 0; round < maxRounds && failed == nil && (round == 0 || f.SentAlone() < each && f.Sent() < most && inTime()); round++ {
				failed = c.Visits(together, together)
				clients += together
			}
			result, err := f.Result()
			c.Must(err)
			total.Sent += result.Sent
			total.Alone += result.Alone
			total.Duration += result.Duration
			if starved(result, pace) {
				pace = slower(result)
			}
			underFire += float64(clients*result.Alone) / float64(max(result.Sent, 1))
			if !c.ListensOn() {
				c.Fail(unsafeHandler, "%d signals %send the listener%s", total.Sent, names(signals), s.HowItEnded())
			}
			if failed != nil {
				c.Fail(unsafeCalls, "during %d signals %sclients are not served: %v", total.Sent, names(signals), failed)
			}
		}
		for n := 0; n < maxStorms && (total.Alone < all || underFire < minClients) && inTime(); n++ {
			storm()
			if starved(total, rate) {
				longest = rig.Scaled(longestStarved)
			}
		}
		s.AwaitWorkersEnd("the last client left")
		c.AwaitRest()
		for _, signal := range signals { // while it waits in accept, and has no worker
			c.SendSignal(signal, s.Listeners())
			if !c.ListensOn() {
				c.Fail(unsafeHandler, "%s while it has no worker ends the listener%s", rig.SignalName(signal), s.HowItEnded())
			}
		}
		if total.Sent == 0 {
			c.Broken("no signal reached the listener, so nothing is proved")
		}
		s.MustSurvive("a storm of signals", unsafeHandler)
		if total.Alone < all && starved(total, rate) {
			c.Broken("the machine is too busy: the listener took %d of %d signals one by one within %v, and the check needs %d",
				total.Alone, total.Sent, total.Duration.Round(time.Second), all)
		}
		c.Note("%s %swhile clients came", atLeast(total.Alone, all), names(signals))
	},
}

// How long the check goes on at a listener that takes few of its signals, and where the storm
// itself is starved.
const (
	longestStorms  = 30 * time.Second
	longestStarved = 60 * time.Second
)

// starved says whether the storm itself got so little of the processors that it sent less than a
// tenth of its rate. Where it did not, the listener takes its time, on whatever machine.
func starved(storm rig.StormResult, rate float64) bool {
	return float64(storm.Sent) < rate/10*storm.Duration.Seconds()
}

// slower is the rate of the next storm after a starved one. That sent what was due in batches
// whose signals merge; with a pause after each signal the listener takes more of them.
func slower(storm rig.StormResult) float64 {
	return max(float64(storm.Sent)/storm.Duration.Seconds()/4, 100)
}

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
