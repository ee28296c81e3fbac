// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"strings"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var eintrAccept = judge.Check{
	Name:    "eintr-accept",
	Meaning: "a signal during accept does not end or stall the listener",
	Defects: []string{"exit-on-eintr"},
	Judges:  []scorecard.Stimulus{scorecard.WorkerEnds, scorecard.ClientLeaves},
	Run: func(c *judge.Case) {
		s := c.Start("")
		c.MustServe(c.Visit(0))
		const remedy = "call accept or poll again on EINTR: a signal handler without SA_RESTART interrupts it"
		if c.Subject.Forks() {
			s.MustSurvive("the end of a worker", remedy)
		} else { // no worker was seen
			s.MustSurvive("a client that left", "accept the next client, also after EINTR: the end of one client must not end the listener")
		}
		listeners := s.Listeners()
		signals := s.NeutralSignals()
		if len(signals) == 0 {
			c.Note("the listener catches none of SIGCHLD, SIGURG and SIGCONT")
		}
		var woken uint64
		survived := func(what string) {
			s.MustSurvive(what, remedy)
			s.AwaitWorkersEnd("the client left")
			c.AwaitAsleep(listeners)
		}
		for _, signal := range signals {
			for range judge.SignalTimes {
				woken += c.SendSignal(signal, listeners)
				if !c.Listens() {
					break
				}
			}
			survived(rig.SignalName(signal) + " during accept")
		}
		// The usual case: a worker ends while the listener waits, and SIGCHLD comes.
		before, end, ended := c.Wakeups(listeners), "the end of a worker", "workers that ended"
		if !c.Subject.Forks() {
			end, ended = "a client that left", "clients that left"
		}
		for range judge.SignalTimes {
			survived(end)
		}
		ends := c.Wakeups(listeners) - before
		paused := c.Pause(listeners)
		survived("SIGSTOP and SIGCONT")
		if woken+ends+paused == 0 {
			c.Broken("no signal woke the listener, so nothing is proved")
		}
		if len(signals) > 0 {
			c.Note("%d signals %sto the sleeping listener woke it %s", judge.SignalTimes*len(signals), names(signals), times(woken))
		}
		c.Note("%s woke the listener %s, SIGSTOP and SIGCONT %s", ended, times(ends), times(paused))
	},
}

func names(signals []syscall.Signal) string {
	if len(signals) == 0 {
		return ""
	}
	parts := make([]string, len(signals))
	for i, s := range signals {
		parts[i] = rig.SignalName(s)
	}
	return "(" + strings.Join(parts, ", ") + ") "
}
