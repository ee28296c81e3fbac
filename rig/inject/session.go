// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"forkrig/rig"
)

// FeatureSeccompNotify is failing system calls by a seccomp filter with user
// notification. It is missing where the kernel was built without
// CONFIG_SECCOMP_FILTER, and where a container forbids seccomp(2).
const FeatureSeccompNotify rig.Feature = "seccomp-notify"

// Session is a subject whose calls are trapped. It ends by itself when the last of the
// subject's processes has ended; until then the rig answers every trapped call.
// Its methods are safe for concurrent use, also after the end.
type Session struct {
	// Process is the subject. Its pid is the one that it would have without the
	// filter, and [rig.Process.Restart] starts it again without.
	Process *rig.Process

	command rig.Command
	asked   []Call // what Start was asked to trap
	calls   []Call // what is trapped; a call's place is its slot
	ended   chan struct{}

	restless bool // the subject was never seen at rest; for its sweep alone

	mu       sync.Mutex
	filter   int // what the supervisor asks for calls, or unheld
	rules    []*armedRule
	hits     []Hit
	seen     []Count // by slot
	handlers map[handlerKey]uint64
	modes    map[syscall.Signal]restartMode // of all handlers that were ever installed
	// listeners are the processes that listened, and what holds each one.
	listeners map[int]int
}

// unheld is no descriptor.
const unheld = -1

type handlerKey struct {
	pid    int
	signal syscall.Signal
}

// Start starts the command on the host with the calls trapped, in this process
// and in all that it starts. Until [Session.Set] every call happens as usual. The
// programs of [rig.Main] must have [Shim] as "inject". The error is a
// [rig.MissingError] where the machine lacks [FeatureSeccompNotify], and otherwise
// what [rig.Host.Start] says.
func Start(ctx context.Context, host *rig.Host, c rig.Command, calls ...Call) (*Session, error) {
	all, err := trapped(calls)
	if err != nil {
		return nil, err
	}
	s := &Session{
		command: c, calls: all, asked: slices.Clone(calls), seen: make([]Count, len(all)), ended: make(chan struct{}),
		filter: unheld, handlers: map[handlerKey]uint64{}, modes: map[syscall.Signal]restartMode{}, listeners: map[int]int{},
	}
	if err := s.start(ctx, host); err != nil {
		return nil, err
	}
	s.Process.Record("calls trapped: %v", s.calls)
	return s, nil
}

// Again starts the same command on the same host with the same calls trapped,
// whether or not the process still runs. The new session has no rules.
func (s *Session) Again(ctx context.Context) (*Session, error) {
	return Start(ctx, s.Process.Host, s.command, s.asked...)
}

// Set replaces the rules, and resets their counts and the hits. The first rule
// that hits a call decides what happens to it; the others count it all the same.
// A call that blocks when Set is called was made before, and matches no rule.
func (s *Session) Set(rules ...Rule) error {
	armed := make([]*armedRule, len(rules))
	for i, r := range rules {
		if err := r.check(s.calls); err != nil {
			return err
		}
		chosen := r.Calls
		if len(chosen) == 0 {
			chosen = s.asked
		}
		armed[i] = &armedRule{Rule: r, index: i, slots: make([]bool, len(s.calls))}
		for slot, c := range s.calls {
			armed[i].slots[slot] = slices.Contains(chosen, c)
		}
	}
	for _, r := range rules {
		if r.Signal != 0 {
			s.Process.Host.Lab().ExpectCrash(r.Signal)
		}
	}
	s.mu.Lock()
	s.rules, s.hits = armed, nil
	s.mu.Unlock()
	s.Process.Record("rules: %v", rules)
	return nil
}

// Clear ends every rule. The hits stay.
func (s *Session) Clear() {
	s.mu.Lock()
	s.rules = nil
	n := len(s.hits)
	s.mu.Unlock()
	s.Process.Record("rules cleared, %d calls hit", n)
}

// Hits returns what was hit since the rules were set, oldest first.
func (s *Session) Hits() []Hit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hits)
}

// Seen returns how often each trapped call was made since the start, those that
// were hit included. Calls that were not made are left out.
func (s *Session) Seen() map[Call]Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[Call]Count{}
	for slot, n := range s.seen {
		if n != (Count{}) {
			seen[s.calls[slot]] = n
		}
	}
	return seen
}

// Handlers returns the signal handlers that the subject's processes have
// installed, by process and signal. It leaves out those that a process that
// still runs does not catch any more, because it executed another program, say.
func (s *Session) Handlers() []Handler {
	s.mu.Lock()
	var all []Handler
	for key, flags := range s.handlers {
		h := Handler{Signal: key.signal, PID: key.pid, In: Workers, Flags: flags}
		if _, is := s.listeners[key.pid]; is {
			h.In = Listener
		}
		all = append(all, h)
	}
	s.mu.Unlock()
	all = slices.DeleteFunc(all, func(h Handler) bool { return notCaught(h.PID, h.Signal) })
	slices.SortFunc(all, func(a, b Handler) int {
		if a.PID != b.PID {
			return a.PID - b.PID
		}
		return int(a.Signal - b.Signal)
	})
	return all
}

// Restarts says whether the kernel makes an interrupted call again (SA_RESTART) after the
// handler of a signal that the process catches. It is known of a process that has installed
// the handler itself, and of one that inherited it where all handlers of the signal that the
// subject ever installed agree.
func (s *Session) Restarts(pid int, signal syscall.Signal) (restarts, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if flags, own := s.handlers[handlerKey{pid, signal}]; own {
		return Handler{Flags: flags}.Restarts(), true
	}
	switch s.modes[signal] {
	case modeRestarts:
		return true, true
	case modeInterrupts:
		return false, true
	}
	return false, false
}

// restartMode is a set: what handlers of a signal say about SA_RESTART.
type restartMode uint8

const (
	modeRestarts restartMode = 1 << iota
	modeInterrupts
)

// Ended is closed when no process of the subject is left, and the rig has let go
// of the filter.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// String returns what the session is about.
func (s *Session) String() string { return fmt.Sprintf("%v with %v trapped", s.Process, s.asked) }
