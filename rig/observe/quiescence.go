// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"slices"
	"time"
)

// The constants by which all waits judge whether anything still happens. They are for
// an idle machine of 2023; a limit that grows on a slow machine is scaled by the
// caller, who knows the machine.
const (
	// Moment is for how long nothing has happened, at the least, where something is
	// quiescent: longer than the steps of 10 ms in which the kernel counts processor
	// time, and than the time between two looks.
	Moment = 100 * time.Millisecond
	// minLooks is at how many looks in a row nothing has happened, at the least. On a
	// busy machine the process that looks may itself not run for a Moment.
	minLooks = 3
	// MaxGap is by how much the clock of a [Quiescence] goes on from one look to the
	// next at the most: time in which nothing was looked at does not count.
	MaxGap = 500 * time.Millisecond
	// Settling is how long a subject may take until it is quiescent after its last
	// client has left. What remains afterwards lasts.
	Settling = 2 * time.Second
	// FruitlessLimit is more processor time than any subject takes until something
	// comes of it. One that takes it without a result is in a busy loop.
	FruitlessLimit = 2 * time.Second
)

// Activity is what one look saw of the processes that are judged.
type Activity struct {
	At        time.Time // when the look ended
	Processes ProcessInfos
	Sockets   Sockets
	// Awake says that a thread runs, is ready to run, or waits for a device, or that a
	// signal waits for a process that will take it. See [Snapshot.Awake].
	Awake bool
	// Events counts what the caller knows of and the kernel does not show. Another
	// number than at the look before means that something happened.
	Events int
}

// QuiescenceState says whether anything happens.
type QuiescenceState uint8

// The states: see [Quiescence].
const (
	Active QuiescenceState = iota
	Still
	Quiescent
)

func (s QuiescenceState) String() string {
	return [...]string{Active: "active", Still: "still", Quiescent: "quiescent"}[s]
}

// Quiescence tells from successive looks whether anything still happens. Its zero
// value has not looked yet. It is not safe for concurrent use.
//
//	                nothing happened             at minLooks looks, and
//	first look       since the look              for a Moment, nothing
//	    |                before                        happened
//	    v       |                      |                     |
//	[active] ------> [still] -------------------------> [quiescent]
//	    ^               |                                    |
//	    |               |        something happened          |
//	    +---------------+------------------------------------+
//
// Something happened where, since the look before,
//   - a process came, ended or was reaped, or a socket came, went, changed its state
//     or the length of a queue: these are results;
//   - processor time was used;
//   - [Activity.Events] changed;
//
// or where, at this look, a process is awake. A process that is awake and brings
// about no result, such as one in a busy loop, is active for ever; how much processor
// time it used for nothing is Fruitless.
type Quiescence struct {
	looks int // in a row at which nothing happened
	last  Activity
	spent time.Duration // processor time of all processes at the last look
	since time.Time     // when something happened last

	clock, clockSince time.Duration
	spentBefore       time.Duration // processor time at the last result
	clockResult       time.Duration // when that was
	asleep            int           // looks since then at which no process was awake
}

// Stillness is what a [Quiescence] knows after a look.
type Stillness struct {
	State QuiescenceState
	// Quiet is for how long nothing has happened.
	Quiet time.Duration
	// Clock goes on with the time in which something looked: by [MaxGap] from one look
	// to the next at the most. Since is when something happened last, on that clock.
	Clock, Since time.Duration
	// Result is when the last result came, on that clock, and Asleep at how many looks since then
	// no process was awake: one that a timer wakes now and then, for nothing, sleeps at most looks.
	Result time.Duration
	Asleep int
	// Fruitless is how much processor time was used since the last result.
	Fruitless time.Duration
}

// See judges what a look saw. Looks come in the order of their times.
func (q *Quiescence) See(now Activity) Stillness {
	first := q.last.At.IsZero()
	var spent time.Duration
	for _, info := range now.Processes {
		spent += info.CPUTime
	}
	result := first || !sameProcesses(q.last.Processes, now.Processes) || !sameSockets(q.last.Sockets, now.Sockets)
	if !first {
		q.clock += min(max(now.At.Sub(q.last.At), 0), MaxGap)
	}
	if result {
		q.spentBefore, q.clockResult, q.asleep = spent, q.clock, 0
	} else if !now.Awake {
		q.asleep++
	}
	if result || now.Awake || spent != q.spent || now.Events != q.last.Events {
		q.looks, q.since, q.clockSince = 0, now.At, q.clock
	} else {
		q.looks++
	}
	q.last, q.spent = now, spent
	s := Stillness{Quiet: now.At.Sub(q.since), Clock: q.clock, Since: q.clockSince, Fruitless: max(spent-q.spentBefore, 0),
		Result: q.clockResult, Asleep: q.asleep}
	switch {
	case q.looks >= minLooks && s.Quiet >= Moment:
		s.State = Quiescent
	case q.looks > 0:
		s.State = Still
	}
	return s
}

// sameProcesses says whether both have the same processes, in the same order, and
// each of them has ended in both or in neither.
func sameProcesses(a, b ProcessInfos) bool {
	return slices.EqualFunc(a, b, func(a, b ProcessInfo) bool {
		return a.Same(b) && (a.State == Zombie) == (b.State == Zombie)
	})
}

// sameSockets compares without the timers, which run also where nothing happens.
func sameSockets(a, b Sockets) bool {
	return slices.EqualFunc(a, b, func(a, b Socket) bool {
		return a.State == b.State && a.Local == b.Local && a.Remote == b.Remote &&
			a.RecvQueue == b.RecvQueue && a.SendQueue == b.SendQueue && a.Inode == b.Inode
	})
}
