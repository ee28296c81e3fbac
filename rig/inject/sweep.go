// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"forkrig/rig"
	"forkrig/rig/internal/pidfd"
)

// SweepCalls are the calls in which a server may wait, so that a signal may
// interrupt them. Give them to [Start] before a [Sweep]. connect is not among
// them: an interrupted connect goes on by itself, and one that is made to fail
// never begins.
var SweepCalls = []Call{
	"accept", "accept4",
	"read", "readv", "recvfrom", "recvmsg", "recvmmsg",
	"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice",
	"wait4", "waitid",
	"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"pause", "rt_sigsuspend", "rt_sigtimedwait", "nanosleep", "clock_nanosleep",
}

// Sweep interrupts every call that a conversation takes, one at a time: for each
// call, in the listener and in workers, conversations in which the first, the
// second, … of them fails, and after each that was hit one without faults.
//
// The listener waits in a call when a conversation begins, and that call was made
// before: its first accept is the one after the connection was accepted, and it
// may be made after the client has left, as may the wait for the worker.
// The sweep waits until the subject is at rest before it says that a call was not
// made.
type Sweep struct {
	// Calls are those to interrupt; empty means those of SweepCalls that are trapped.
	Calls []Call
	// Depth is how many calls of a kind are interrupted in turn; 0 means 3.
	Depth int
	// Errno is what they fail with; 0 means EINTR. With EINTR only calls that may
	// wait are hit, see [Rule].
	Errno syscall.Errno
	// Converse holds a conversation with the subject, and returns an error where
	// the subject did not do its part. Its end may include that of the worker.
	Converse func(ctx context.Context) error
	// Restart is called where the subject has ended or does not converse any more,
	// also without faults. It starts it again, as [Session.Again] does, waits until
	// it serves, and returns the new session. Without it the sweep ends there.
	Restart func(ctx context.Context) (*Session, error)

	background bool // the process that was started has ended before, and others serve
}

// SweepResult is what came of one interruption.
type SweepResult struct {
	Call Call
	In   Where
	Nth  int
	// Hits is what was hit; empty where the conversation took fewer such calls.
	// The sweep then goes on to the next call.
	Hits []Hit
	// Err is the error of the conversation in which the call failed, After that of the
	// next, without faults.
	Err, After error
	// Ended says that the subject's process ended, and how. It stays false where that process
	// had gone to the background and ended before: After tells whether the subject serves.
	Ended bool
	Exit  rig.Exit
}

// Fired says whether the call was made, and so failed.
func (r SweepResult) Fired() bool { return len(r.Hits) > 0 }

// Survived says whether the subject served both conversations and still runs.
func (r SweepResult) Survived() bool { return r.Err == nil && r.After == nil && !r.Ended }

// String returns the result in a few words.
func (r SweepResult) String() string {
	text := fmt.Sprintf("%s %d in %v: ", r.Call, r.Nth, r.In)
	if !r.Fired() {
		text += "not made, "
	}
	var wrong []string
	if r.Err != nil {
		wrong = append(wrong, r.Err.Error())
	}
	if r.Ended {
		wrong = append(wrong, "the subject: "+r.Exit.String())
	}
	if r.After != nil {
		wrong = append(wrong, "afterwards: "+r.After.Error())
	}
	if wrong == nil {
		return text + "survived"
	}
	return text + strings.Join(wrong, "; ")
}

const defaultDepth = 3

// Run sweeps the subject of the session. The error says why the sweep could not go
// on: the subject does not converse without faults, or did not start again.
func (w Sweep) Run(ctx context.Context, s *Session) (results []SweepResult, err error) {
	if w.Converse == nil || w.Depth < 0 {
		return nil, errors.New("sweep: give it a conversation, and a depth from 0 up")
	}
	if w.Depth == 0 {
		w.Depth = defaultDepth
	}
	if w.Errno == 0 {
		w.Errno = syscall.EINTR
	}
	if len(w.Calls) == 0 {
		w.Calls = slices.DeleteFunc(slices.Clone(SweepCalls), func(c Call) bool { return !slices.Contains(s.asked, c) })
	}
	for _, c := range w.Calls {
		if !slices.Contains(s.calls, c) {
			return nil, fmt.Errorf("sweep: %s is not trapped, only %v: name it when the subject is started", c, s.calls)
		}
	}
	s.Clear()
	s.settle(ctx)
	before := s.Seen()
	if err := w.Converse(ctx); err != nil {
		return nil, fmt.Errorf("sweep: a conversation without faults: %w", err)
	}
	s.settle(ctx)
	w.background = s.gone()
	taken := s.Seen()
	for _, c := range w.Calls {
		for _, in := range []Where{Listener, Workers} {
			if taken[c].in(in) == before[c].in(in) {
				continue // a conversation does not take it
			}
			for nth := 1; nth <= w.Depth; nth++ {
				r, err := w.step(ctx, s, c, in, nth)
				if err != nil {
					return results, err
				}
				results = append(results, r)
				s.Process.Record("sweep: %v", r)
				if r.Ended || r.After != nil {
					if w.Restart == nil {
						return results, fmt.Errorf("sweep: %v: it cannot go on without Restart", r)
					}
					if s, err = w.Restart(ctx); err != nil {
						return results, fmt.Errorf("sweep: start the subject again: %w", err)
					}
				}
				if !r.Fired() {
					break
				}
			}
		}
	}
	return results, ctx.Err()
}

// step holds a conversation in which one call fails, and one without faults.
func (w Sweep) step(ctx context.Context, s *Session, c Call, in Where, nth int) (SweepResult, error) {
	r := SweepResult{Call: c, In: in, Nth: nth}
	s.settle(ctx) // what came of the conversation before is not this one's
	rule := Rule{Calls: []Call{c}, In: in, Waiting: w.Errno == syscall.EINTR, Nth: nth, Errno: w.Errno}
	if err := s.Set(rule); err != nil {
		return r, err
	}
	r.Err = w.Converse(ctx)
	s.settle(ctx)
	s.Clear()
	if r.Hits = s.Hits(); r.Fired() || r.Err != nil {
		r.After = w.Converse(ctx)
	}
	if r.After != nil {
		s.settle(ctx) // a process that ends refuses connections before it has ended
	}
	if !w.background && s.gone() {
		r.Ended = true
		exit, err := s.Process.Wait(ctx)
		if err != nil {
			return r, err
		}
		r.Exit = exit
	}
	return r, nil
}

// gone says whether the subject has ended, waited for or not.
func (s *Session) gone() bool {
	if !s.Process.Running() {
		return true
	}
	p, err := pidfd.Open(s.Process.PID)
	if err != nil {
		return true
	}
	defer p.Close()
	dead, err := p.Dead()
	return dead && err == nil
}

// rested is for how long nothing happens on the host of a subject that is at rest.
const rested = 30 * time.Millisecond

// settle waits until the subject is at rest and no call of it waits for an answer.
// One that never rests, because it looks for something again and again, has
// settled after a part of [rig.Patience].
func (s *Session) settle(ctx context.Context) {
	longest := rig.Patience() / 12
	if s.restless {
		longest = 10 * rested
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	rest := s.Process.Host.WatchRest()
	last, since := -1, time.Now()
	err := rig.Await(ctx, "rest", func() (bool, string, error) {
		quiet, _, err := rest.Look()
		waits, made := s.waiting()
		if waits || made != last {
			last, since = made, time.Now()
		}
		quiet = min(quiet, time.Since(since))
		return quiet >= rested, quiet.String(), err
	})
	s.restless = s.restless || err != nil
}
