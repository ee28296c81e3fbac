// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Outcome is what came of a schedule.
type Outcome struct {
	scorecard.Result
	// Acted says of each action whether it did anything.
	Acted []bool
	// At is the index of the action after which the story ended, or the number of
	// actions if all of them were played.
	At int
}

// Failed says whether the subject was found to be wrong.
func (o Outcome) Failed() bool { return o.Verdict == scorecard.Fail }

// Play plays a schedule at the subject, in a lab of its own. The traits are those of
// the subject in the schedule's family: see [Examine]. The outcome says what came of
// it; it never fails tb. Requires what a lab requires: see package rig. It is safe for
// concurrent use.
func Play(tb rig.TB, subject judge.Subject, traits Traits, schedule Schedule) Outcome {
	tb.Helper()
	return play(tb, subject, traits, schedule, manner{})
}

// manner is how a schedule is played. A hasty play gives waits up early, so that a failure of it is
// a suspicion that must be confirmed. Where record is not nil, the lab is recorded.
type manner struct {
	hasty  bool
	record judge.Record
}

func play(tb rig.TB, subject judge.Subject, traits Traits, schedule Schedule, how manner) Outcome {
	tb.Helper()
	out := Outcome{Acted: make([]bool, len(schedule.Actions))}
	out.Result = check(how.hasty, func(c *judge.Case) {
		c.Must(schedule.Check())
		has := func(verb Verb) bool {
			return slices.ContainsFunc(schedule.Actions, func(a Action) bool { return a.Verb == verb })
		}
		p := newPlayer(c, traits, judge.Launch{Own: traits.own, Limited: has(ExhaustProcesses)})
		if has(Unplug) {
			p.hastenNeighbourDiscovery()
		}
		for i, action := range schedule.Actions {
			out.At = i
			c.Lab.Journal.Record("story", "%d. %v", i+1, action)
			out.Acted[i] = p.act(action)
			p.checkInvariants()
		}
		out.At = len(schedule.Actions)
		c.Lab.Journal.Record("story", "the end: all faults are healed, and all clients leave")
		p.checkEnd()
	}).JudgeRecorded(tb, subject, schedule.Family, how.record)
	return out
}

// check is the search as a check: story is what happens in its lab.
func check(hasty bool, story func(*judge.Case)) judge.Check {
	return judge.Check{Name: checkName, Meaning: meaning, Clients: clientHosts, Hasty: hasty, Run: story}
}

// player plays actions. It knows which faults there are, and which answers clients wait for.
type player struct {
	*judge.Case
	traits Traits
	launch judge.Launch
	server *judge.Instance // the one that was started last

	conversations []*conversation
	// unnoticed are connections that were closed while their client was
	// unplugged: the server does not know yet.
	unnoticed   []*conversation
	unplugged   map[int]func()    // plug a client in again, by its number
	shortage    func()            // ends the shortage; nil where there is none
	storms      []func()          // end the storms
	baseline    judge.Descriptors // of the listeners
	timerReaped bool              // zombies were reaped by a timer
	faultBegan  time.Time         // when the latest fault began, or a client connected during one
}

// newPlayer starts the subject.
func newPlayer(c *judge.Case, traits Traits, launch judge.Launch) *player {
	p := &player{Case: c, traits: traits, launch: launch, unplugged: map[int]func(){}}
	c.Must(p.start())
	return p
}

// start starts the subject, and notes its descriptors before the first connection.
func (p *player) start() error {
	server, err := p.TryStart(p.launch)
	if err != nil {
		return err
	}
	p.server = server
	p.baseline = p.Descriptors(server.Listeners())
	return nil
}

// hastenNeighbourDiscovery makes hosts that look for a neighbour's link address, as
// they do after an unplugged host is back, ask a hundred times a second instead of once (arp(7)).
func (p *player) hastenNeighbourDiscovery() {
	for i, host := range append([]*rig.Host{p.Host}, p.Clients...) {
		for eth := range clientHosts {
			if i > 0 && eth > 0 {
				continue // a client has one link
			}
			for _, family := range []string{"ipv4", "ipv6"} {
				err := host.SetSysctl(fmt.Sprintf("net.%s.neigh.eth%d.retrans_time_ms", family, eth), "10")
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					p.Must(err)
				}
			}
		}
	}
}

// act does what the action says, and returns false where its precondition did not hold.
func (p *player) act(a Action) bool {
	c := p.conversation(a.Conn)
	if verbs[a.Verb].conn && a.Verb != Connect && c == nil {
		return false
	}
	switch a.Verb {
	case Connect:
		return p.connect(a.Conn, a.Client) != nil
	case Send:
		return p.send(c, a.Bytes)
	case HalfClose:
		return p.halfClose(c, a.Bytes)
	case Close:
		return p.closeAnswered(c)
	case Kill:
		return p.kill(c, a.Bytes)
	case Reset:
		return p.reset(c, a.Bytes)
	case KillWorker:
		return p.killWorker(c)
	case Storm:
		return p.storm()
	case EndStorm:
		return p.endStorm()
	case Restart:
		return p.restart()
	case Crash:
		return p.crash()
	case Unplug:
		return p.unplug(a.Client)
	case Plug:
		return p.plug(a.Client)
	case ExhaustDescriptors:
		return p.exhaustDescriptors()
	case ExhaustProcesses:
		return p.exhaustProcesses()
	case EndShortage:
		return p.endShortage()
	}
	return false
}

// conversation returns the open connection of that number, or nil.
func (p *player) conversation(number int) *conversation {
	for _, c := range p.open() {
		if c.number == number {
			return c
		}
	}
	return nil
}

// open are the connections that have not ended.
func (p *player) open() []*conversation {
	return slices.DeleteFunc(slices.Clone(p.conversations), func(c *conversation) bool { return c.ended })
}
