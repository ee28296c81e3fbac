// SPDX-License-Identifier: Apache-2.0

package search

import (
	"math/rand/v2"
	"slices"

	"forkrig/judge"
	"forkrig/rig"
)

// generator makes schedules from seeds.
type generator struct {
	families []rig.Family // in which the subject listens; at least one
	// maxOpen is how many connections are open at the same time at most; 0 means 4.
	maxOpen int
	// silent says that nothing is said on connections, and closes which side closes them first;
	// they decide which actions make sense.
	silent bool
	closes judge.Side
	// forks says that the subject's forks can be made to fail.
	forks bool
	// without are verbs that are left out.
	without []Verb
}

// MaxSeed is the highest seed: JSON represents seeds up to it exactly.
const MaxSeed = 1<<53 - 1

// stream is the second half of the seed of the PCG, the same for every schedule.
const stream = 0x666f726b726967 // "forkrig"

// weights are how often each verb is drawn, relative to the other verbs whose
// preconditions hold.
var weights = [verbEnd]int{
	Connect: 24, Send: 8, HalfClose: 4, Close: 4, Kill: 2, Reset: 4, KillWorker: 4, Storm: 2, EndStorm: 2, Restart: 2, Crash: 1,
	Unplug: 2, Plug: 2, ExhaustDescriptors: 4, ExhaustProcesses: 2, EndShortage: 2,
}

// The length of a schedule in actions.
const (
	minLength = 2
	maxLength = 14
)

// schedule returns the schedule of a seed: the same generator and seed give the same
// schedule, as long as this package stays the same. A [Story] has the schedule itself.
// Every action finds its precondition, as far as that can be known in advance.
func (g generator) schedule(seed uint64) Schedule {
	d := draft{generator: g, random: rand.New(rand.NewPCG(seed%(MaxSeed+1), stream))}
	s := Schedule{Family: sample(d.random, g.families)}
	for range minLength + d.random.IntN(maxLength-minLength+1) {
		possible := d.possible()
		if len(possible) == 0 {
			break // the other verbs are left out
		}
		s.Actions = append(s.Actions, d.action(sample(d.random, possible)))
	}
	return s
}

// sample returns one of the elements.
func sample[E any](random *rand.Rand, elements []E) E { return elements[random.IntN(len(elements))] }

// openLimit is how many connections are open at the same time at most.
func (g generator) openLimit() int {
	if g.maxOpen == 0 {
		return 4
	}
	return g.maxOpen
}

// sizes are the lengths of messages that the subject can be expected to answer.
func (g generator) sizes() []int {
	switch {
	case g.silent:
		return messageSizes[:1]
	case g.closes == judge.Server:
		return messageSizes[:2] // one read
	}
	return messageSizes
}

// draft is the state of the lab after the actions of a schedule that is being made,
// as far as it can be known in advance.
type draft struct {
	generator
	random    *rand.Rand
	last      int // the number of the newest connection
	open      []openConn
	unplugged []int // numbers of clients
	storm     bool
	shortage  bool
}

// openConn is a connection that is open in a draft.
type openConn struct {
	conn, client int
	halfClosed   bool
}

// possible are the verbs whose preconditions hold, each as often as its weight.
func (d *draft) possible() []Verb {
	var all []Verb
	for verb := Connect; verb < verbEnd; verb++ {
		if d.can(verb) {
			for range weights[verb] {
				all = append(all, verb)
			}
		}
	}
	return all
}

func (d *draft) can(verb Verb) bool {
	if slices.Contains(d.without, verb) {
		return false
	}
	switch verb {
	case Connect:
		return len(d.open) < d.openLimit() && len(d.unplugged) < clientHosts && d.last < maxConn
	case Send:
		return len(d.senders(false)) > 0 && !d.silent
	case HalfClose:
		return len(d.senders(false)) > 0
	case Close, KillWorker:
		return len(d.open) > 0
	case Kill, Reset:
		return len(d.senders(true)) > 0
	case Storm:
		return !d.storm
	case EndStorm:
		return d.storm
	case Unplug:
		return len(d.unplugged) < clientHosts && len(d.open) > 0
	case Plug:
		return len(d.unplugged) > 0
	case ExhaustDescriptors:
		return !d.shortage
	case ExhaustProcesses:
		return !d.shortage && d.forks
	case EndShortage:
		return d.shortage
	}
	return true
}

// senders are the connections whose sending side is open; with reachable, only those
// whose clients are not unplugged.
func (d *draft) senders(reachable bool) []int {
	var found []int
	for _, o := range d.open {
		if !o.halfClosed && !(reachable && slices.Contains(d.unplugged, o.client)) {
			found = append(found, o.conn)
		}
	}
	return found
}

func (d *draft) conns() []int {
	var found []int
	for _, o := range d.open {
		found = append(found, o.conn)
	}
	return found
}

// reachableClients are the clients that are not unplugged.
func (d *draft) reachableClients() []int {
	var found []int
	for client := 1; client <= clientHosts; client++ {
		if !slices.Contains(d.unplugged, client) {
			found = append(found, client)
		}
	}
	return found
}

// action draws the numbers of an action and updates the draft.
func (d *draft) action(verb Verb) Action {
	a := Action{Verb: verb}
	switch verb {
	case Connect:
		d.last++
		a.Conn, a.Client = d.last, sample(d.random, d.reachableClients())
		d.open = append(d.open, openConn{conn: a.Conn, client: a.Client})
	case Send, HalfClose:
		a.Conn = sample(d.random, d.senders(false))
	case Kill, Reset:
		a.Conn = sample(d.random, d.senders(true))
	case Close, KillWorker:
		a.Conn = sample(d.random, d.conns())
	case Storm, EndStorm:
		d.storm = verb == Storm
	case Restart, Crash:
		d.storm, d.shortage = false, false
	case Unplug:
		a.Client = sample(d.random, d.reachableClients())
		d.unplugged = append(d.unplugged, a.Client)
	case Plug:
		a.Client = sample(d.random, d.unplugged)
		d.unplugged = slices.DeleteFunc(d.unplugged, func(n int) bool { return n == a.Client })
	case ExhaustDescriptors, ExhaustProcesses, EndShortage:
		d.shortage = verb != EndShortage
	}
	switch verb {
	case Send, Kill:
		a.Bytes = sample(d.random, d.sizes())
	case HalfClose, Reset:
		if !d.silent {
			a.Bytes = sample(d.random, append([]int{0}, d.sizes()...))
		}
	}
	ends := verb == Close || verb == Kill || verb == Reset || verb == KillWorker || verb == Send && d.closes == judge.Server
	if ends {
		d.open = slices.DeleteFunc(d.open, func(o openConn) bool { return o.conn == a.Conn })
	}
	for i := range d.open {
		d.open[i].halfClosed = d.open[i].halfClosed || verb == HalfClose && d.open[i].conn == a.Conn
	}
	return a
}
