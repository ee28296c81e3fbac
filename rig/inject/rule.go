// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
)

// Rule says which calls fail, and how. Calls, In, Nth, Every, Probability and
// Times choose the calls; Errno, Signal or both say what happens to them. Each
// rule counts the calls that Calls and In match, from 1 on, since it was set and
// over all processes together.
type Rule struct {
	// Calls are some of the trapped calls; empty means all that [Start] was asked
	// to trap.
	Calls []Call
	In    Where
	// Waiting leaves out calls that Linux never interrupts, because they do not
	// wait: those on files and on descriptors with O_NONBLOCK, a wait with WNOHANG,
	// a poll with a timeout of 0, and calls that are not in [SweepCalls]. Set it
	// for EINTR: otherwise a rule for read hits the dynamic linker of a program that a
	// worker executes, for example.
	Waiting bool
	// Nth, Every and Probability choose among the matching calls: only the n-th,
	// every n-th, or each with a probability, drawn from Seed and the call's
	// number, so that the same calls are chosen again. At most one of them is
	// set; with none it is every call.
	Nth, Every  int
	Probability float64
	Seed        uint64
	// Times is how many calls the rule hits at the most; 0 means no limit.
	Times int
	// Errno is what the call fails with. It does not happen.
	Errno syscall.Errno
	// Signal is sent to the calling thread when it makes the call. Without Errno
	// the call goes on, and if it blocks, the signal interrupts it as any signal
	// would: where a handler has SA_RESTART, the kernel may make the call again.
	Signal syscall.Signal
}

const (
	maxSignal = 64  // signal(7)
	maxErrno  = 511 // above are numbers that mean something to the kernel itself
)

func (r Rule) check(calls []Call) error {
	for _, c := range r.Calls {
		if !slices.Contains(calls, c) {
			return fmt.Errorf("rule %v: %s is not trapped, only %v: name it when the subject is started", r, c, calls)
		}
	}
	chosen := 0
	for _, set := range []bool{r.Nth != 0, r.Every != 0, r.Probability != 0} {
		if set {
			chosen++
		}
	}
	switch {
	case r.In > Workers:
		return fmt.Errorf("rule %v: place %d does not exist: give Listener, Workers or Anywhere", r, int(r.In))
	case r.Nth < 0 || r.Every < 0 || r.Times < 0:
		return fmt.Errorf("rule %v: a count is negative: count from 1", r)
	case !(r.Probability >= 0 && r.Probability <= 1):
		return fmt.Errorf("rule %v: probability %v is out of range: give one from 0 to 1", r, r.Probability)
	case chosen > 1:
		return fmt.Errorf("rule %v: it selects calls in two ways: give only one of Nth, Every and Probability", r)
	case r.Errno == 0 && r.Signal == 0:
		return fmt.Errorf("rule %v: it has no effect on a call: give Errno, Signal or both", r)
	case r.Errno > maxErrno:
		return fmt.Errorf("rule %v: errno %d does not exist: give one from 1 to %d", r, int(r.Errno), maxErrno)
	case r.Signal < 0 || r.Signal > maxSignal:
		return fmt.Errorf("rule %v: signal %d does not exist: give one from 1 to %d", r, int(r.Signal), maxSignal)
	}
	return nil
}

// String returns the rule in a few words.
func (r Rule) String() string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch {
	case r.Nth != 0:
		add("call %d of", r.Nth)
	case r.Every != 0:
		add("every %d of", r.Every)
	case r.Probability != 0:
		add("%g (seed %d) of", r.Probability, r.Seed)
	default:
		add("every")
	}
	if len(r.Calls) == 0 {
		add("trapped call")
	} else {
		names := make([]string, len(r.Calls))
		for i, c := range r.Calls {
			names[i] = string(c)
		}
		add("%s", strings.Join(names, ","))
	}
	if r.Waiting {
		add("that may wait")
	}
	add("%v", r.In)
	if r.Times != 0 {
		add("%d times", r.Times)
	}
	add("→")
	if r.Signal != 0 {
		add("signal %d (%v)", int(r.Signal), r.Signal)
	}
	if r.Errno != 0 {
		add("errno %d (%v)", int(r.Errno), r.Errno)
	}
	return strings.Join(words, " ")
}

// armedRule is a rule that is in force.
type armedRule struct {
	Rule
	index int    // among the rules
	slots []bool // by the call's place in Session.calls
	seen  int    // calls that match
	hits  int
}

// occasion is a call as rules see it.
type occasion struct {
	slot  int
	in    Where
	waits bool // it may wait
}

func (r *armedRule) matches(o occasion) bool {
	return r.slots[o.slot] && r.In.includes(o.in) && (o.waits || !r.Waiting)
}

// chooses says whether the rule hits the matching call of this number.
func (r *armedRule) chooses(n int) bool {
	switch {
	case r.Times != 0 && r.hits >= r.Times:
		return false
	case r.Nth != 0:
		return n == r.Nth
	case r.Every != 0:
		return n%r.Every == 0
	case r.Probability != 0:
		return rand.New(rand.NewPCG(r.Seed, uint64(n))).Float64() < r.Probability
	}
	return true
}

// choose counts a call in every rule that matches it and returns the first that
// hits it, or nil.
func choose(rules []*armedRule, o occasion) (hit *armedRule) {
	for _, r := range rules {
		if !r.matches(o) {
			continue
		}
		r.seen++
		if hit == nil && r.chooses(r.seen) {
			hit = r
			r.hits++
		}
	}
	return hit
}

// forget takes back what choose counted.
func forget(rules []*armedRule, o occasion, hit *armedRule) {
	for _, r := range rules {
		if r.matches(o) {
			r.seen--
		}
	}
	if hit != nil {
		hit.hits--
	}
}
