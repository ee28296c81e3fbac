// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/inject"
	"forkrig/scorecard"
)

var eintrSweep = judge.Check{
	Name:    "eintr-sweep",
	Meaning: "EINTR from any call in which the subject waits loses no connection and no byte",
	Defects: []string{"exit-on-eintr", "worker-exit-on-eintr"},
	Long:    true,
	Run: func(c *judge.Case) {
		s, session := c.StartTrapped(inject.SweepCalls...)
		possible := interruptible(c, s, session)
		sweep := inject.Sweep{
			Converse: func(context.Context) error { return c.Visit(0) },
			Restart: func(context.Context) (*inject.Session, error) {
				c.Did(scorecard.EINTR)
				c.KeepEnd()
				c.KillSubjectWithoutTrace()
				_, again, err := c.TryStartTrapped(inject.SweepCalls...)
				return again, err
			},
		}
		results, err := sweep.Run(c.Context(), session)
		if err != nil && !c.ListensOn() {
			c.Fail("call accept again on EINTR: SIGCHLD interrupts it", "the end of a worker ends the listener%s", s.HowItEnded())
		}
		c.Must(err)
		fired, wrong := 0, []inject.SweepResult{}
		for _, r := range results {
			if r.Fired() {
				fired++
			}
			if r.Fired() && !r.Survived() {
				wrong = append(wrong, r)
			}
		}
		if fired == 0 {
			c.Skip("no call was interrupted: the check needs a subject that waits in one of %v", inject.SweepCalls)
		}
		c.Note("%s interrupted: %s", scorecard.Counted(fired, "call", "calls"), interruptedCalls(results))
		if real := slices.DeleteFunc(slices.Clone(wrong), func(r inject.SweepResult) bool { return !possible(r) }); len(real) > 0 {
			c.Fail("repeat a call that fails with EINTR: a handler without SA_RESTART interrupts it, and so does SIGSTOP if the call has a timeout",
				"%d of %d interrupted calls broke a conversation: %s", len(real), fired, joinResults(real))
		}
		if len(wrong) > 0 {
			c.Note("the subject does not survive %s, but no signal that it catches interrupts these calls (SA_RESTART)", joinResults(wrong))
		}
	},
}

// interruptible finds out which calls of the subject a signal can interrupt, and returns
// whether that of a result is one of them. It is in three cases (signal(7)): its process has a
// handler without SA_RESTART; the call has a timeout; or the call waits for several things,
// which the kernel never restarts, and its process has any handler.
func interruptible(c *judge.Case, s *judge.Instance, session *inject.Session) func(inject.SweepResult) bool {
	k := c.MustDial(0)
	c.MustServe(k.Begin())
	inode, err := k.ServerInode()
	c.Must(err)
	workers := s.Serving(k)
	endurance, err := endurance(c, workers, inode)
	if !errors.Is(err, os.ErrNotExist) { // of a worker that has ended nothing is known
		c.Must(err)
	}
	flags := map[syscall.Signal]bool{} // whether it restarts
	for _, h := range session.Handlers() {
		flags[h.Signal] = h.Restarts()
	}
	caught := map[inject.Where]rig.SignalSet{}
	for where, processes := range map[inject.Where]rig.ProcessInfos{inject.Listener: s.Listeners(), inject.Workers: workers} {
		for _, info := range processes {
			if masks, err := c.Host.Signals(info); err == nil {
				caught[where] |= masks.Caught
			}
		}
	}
	c.MustServe(k.Finish())
	s.AwaitWorkersEnd("the client left")
	s.MustSurvive("the end of a worker", "call accept again on EINTR: SIGCHLD interrupts it")
	return func(r inject.SweepResult) bool {
		if waitsForSeveral(r.Call) && caught[r.In] != 0 {
			return true
		}
		if r.In == inject.Workers && (endurance.ReceiveTimeout > 0 || endurance.SendTimeout > 0) {
			return true
		}
		return slices.ContainsFunc(caught[r.In].Signals(), func(signal syscall.Signal) bool {
			restarts, known := flags[signal]
			return known && !restarts
		})
	}
}

// waitsForSeveral says whether the kernel never restarts the call (signal(7)).
func waitsForSeveral(call inject.Call) bool {
	return slices.Contains([]inject.Call{"poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2",
		"pause", "rt_sigsuspend", "rt_sigtimedwait", "nanosleep", "clock_nanosleep"}, call)
}

// interruptedCalls says which calls were interrupted, and how often each.
func interruptedCalls(results []inject.SweepResult) string {
	var parts []string
	for _, r := range results {
		if r.Fired() {
			parts = append(parts, fmt.Sprintf("%s %d (%v)", r.Call, r.Nth, r.In))
		}
	}
	return strings.Join(parts, ", ")
}

func joinResults(results []inject.SweepResult) string {
	parts := make([]string, len(results))
	for i, r := range results {
		parts[i] = r.String()
	}
	return strings.Join(parts, "; ")
}
