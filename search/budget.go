package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"forkrig/judge"
	"forkrig/rig"
)

// Budget bounds what schedules are made of.
type Budget struct {
	Families []rig.Family // in which the subject listens
	// Together is how many connections are open at a time at the most; 0 means 4.
	Together int
	// Closes and Service are those of the subject; they decide which actions make sense.
	Service judge.Service
	Closes  judge.Side
	// Forks says that the subject's forks can be made to fail.
	Forks bool
	// Without are verbs that are left out, because it is known what comes of them.
	Without []Verb
}

// ParseVerbs reads the names of verbs, separated by commas; "" is none.
func ParseVerbs(list string) ([]Verb, error) {
	var all []Verb
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		var verb Verb
		if err := verb.UnmarshalText([]byte(name)); err != nil {
			var known []string
			for v := Connect; v < verbEnd; v++ {
				known = append(known, v.String())
			}
			return nil, fmt.Errorf("%w: they are %s", err, strings.Join(known, ", "))
		}
		if verb == Connect {
			return nil, errors.New("a story without connect is none")
		}
		all = append(all, verb)
	}
	return all, nil
}

// MaxSeed is the highest seed: seeds are exact in JSON.
const MaxSeed = 1<<53 - 1

// weights are how often each verb is tried, of those that make sense at a moment.
var weights = [verbEnd]int{
	Connect: 12, Send: 8, HalfClose: 4, Close: 4, Kill: 2, Reset: 4, KillWorker: 4,
	Storm: 2, Calm: 2, Restart: 2, Crash: 1, Part: 2, Join: 2, TakeFiles: 4, TakeProcesses: 2, Release: 2,
}

// Make returns the schedule of a seed. The same budget and seed make the same
// schedule, as long as this package and rapid stay the same; a [Story] has the
// schedule itself.
func (b Budget) Make(seed uint64) Schedule {
	return b.generator().Example(int(seed % (MaxSeed + 1)))
}

// generator draws schedules in which every action finds its conditions, as far as
// that can be known beforehand.
func (b Budget) generator() *rapid.Generator[Schedule] {
	return rapid.Custom(func(t *rapid.T) Schedule {
		s := Schedule{Family: rapid.SampledFrom(b.families()).Draw(t, "family")}
		d := draft{Budget: b}
		for range rapid.IntRange(2, 14).Draw(t, "length") {
			possible := d.possible()
			if len(possible) == 0 {
				break // so much is left out
			}
			verb := rapid.SampledFrom(possible).Draw(t, "verb")
			s.Actions = append(s.Actions, d.draw(t, verb))
		}
		return s
	})
}

func (b Budget) families() []rig.Family {
	if len(b.Families) == 0 {
		return rig.Families[:]
	}
	return b.Families
}

func (b Budget) together() int {
	if b.Together == 0 {
		return 4
	}
	return b.Together
}

// sizes are the messages that the subject can be expected to take.
func (b Budget) sizes() []int {
	switch {
	case b.Service == judge.None:
		return Sizes[:1]
	case b.Closes == judge.Server:
		return Sizes[:2] // one read
	}
	return Sizes
}

// draft is what is known of a schedule while it is made.
type draft struct {
	Budget
	last   int // the number of the newest connection
	open   []opened
	parted []int
	storm  bool
	short  bool
}

// opened is a connection that is open as far as the draft knows.
type opened struct {
	conn, client int
	half         bool // its sending side is closed
}

// possible are the verbs whose conditions are there, each as often as its weight.
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
	if slices.Contains(d.Without, verb) {
		return false
	}
	switch verb {
	case Connect:
		return len(d.open) < d.together() && len(d.parted) < Clients && d.last < maxConn
	case Send:
		return len(d.senders(false)) > 0 && d.Service != judge.None
	case HalfClose:
		return len(d.senders(false)) > 0
	case Close, KillWorker:
		return len(d.open) > 0
	case Kill, Reset:
		return len(d.senders(true)) > 0
	case Storm:
		return !d.storm
	case Calm:
		return d.storm
	case Part:
		return len(d.parted) < Clients && len(d.open) > 0
	case Join:
		return len(d.parted) > 0
	case TakeFiles:
		return !d.short
	case TakeProcesses:
		return !d.short && d.Forks
	case Release:
		return d.short
	}
	return true
}

// senders are the connections that may still send; with reach, those only whose
// clients reach the server.
func (d *draft) senders(reach bool) []int {
	var found []int
	for _, o := range d.open {
		if !o.half && !(reach && slices.Contains(d.parted, o.client)) {
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

// draw draws the numbers of the action and notes what follows from it.
func (d *draft) draw(t *rapid.T, verb Verb) Action {
	a := Action{Verb: verb}
	sizes := d.sizes()
	switch verb {
	case Connect:
		d.last++
		a.Conn = d.last
		for a.Client == 0 || slices.Contains(d.parted, a.Client) {
			a.Client = rapid.IntRange(1, Clients).Draw(t, "client")
		}
		d.open = append(d.open, opened{conn: a.Conn, client: a.Client})
	case Send, HalfClose:
		a.Conn = rapid.SampledFrom(d.senders(false)).Draw(t, "conn")
	case Kill, Reset:
		a.Conn = rapid.SampledFrom(d.senders(true)).Draw(t, "conn")
	case Close, KillWorker:
		a.Conn = rapid.SampledFrom(d.conns()).Draw(t, "conn")
	case Storm, Calm:
		d.storm = verb == Storm
	case Restart, Crash:
		d.storm, d.short = false, false
	case Part:
		for a.Client == 0 || slices.Contains(d.parted, a.Client) {
			a.Client = rapid.IntRange(1, Clients).Draw(t, "client")
		}
		d.parted = append(d.parted, a.Client)
	case Join:
		a.Client = rapid.SampledFrom(d.parted).Draw(t, "client")
		d.parted = slices.DeleteFunc(d.parted, func(n int) bool { return n == a.Client })
	case TakeFiles, TakeProcesses, Release:
		d.short = verb != Release
	}
	switch verb {
	case Send, Kill:
		a.Bytes = rapid.SampledFrom(sizes).Draw(t, "bytes")
	case HalfClose, Reset:
		if d.Service != judge.None {
			a.Bytes = rapid.SampledFrom(append([]int{0}, sizes...)).Draw(t, "bytes")
		}
	}
	switch verb {
	case HalfClose:
		for i := range d.open {
			d.open[i].half = d.open[i].half || d.open[i].conn == a.Conn
		}
	case Close, Kill, Reset, KillWorker:
		d.open = slices.DeleteFunc(d.open, func(o opened) bool { return o.conn == a.Conn })
	case Send:
		if d.Closes == judge.Server {
			d.open = slices.DeleteFunc(d.open, func(o opened) bool { return o.conn == a.Conn })
		}
	}
	return a
}
