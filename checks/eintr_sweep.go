package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/inject"
)

var eintrSweep = Check{
	Name:    "eintr-sweep",
	Meaning: "EINTR from any call that it waits in costs no connection and no byte",
	Defects: []string{"exit-on-eintr", "worker-exit-on-eintr"},
	run: func(c *Case) {
		s, session := c.startTrapped(inject.SweepCalls...)
		possible := c.interruptible(s, session)
		sweep := inject.Sweep{
			Converse: func(context.Context) error { return c.visit(0) },
			Restart: func(ctx context.Context) (*inject.Session, error) {
				c.killSubject()
				again, err := session.Again(ctx)
				if err == nil {
					_, err = c.awaitTrapped(again)
				}
				return again, err
			},
		}
		results, err := sweep.Run(c.tb.Context(), session)
		if err != nil && !s.listensOn() {
			c.fail("SIGCHLD makes accept fail with EINTR: call it again", "the end of a worker ends the listener%s", s.howItEnded())
		}
		c.must(err)
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
			c.broken("no call was interrupted, so that nothing is proved: it waits in none of %v", inject.SweepCalls)
		}
		c.note("%d calls interrupted: %s", fired, swept(results))
		if real := slices.DeleteFunc(slices.Clone(wrong), func(r inject.SweepResult) bool { return !possible(r) }); len(real) > 0 {
			c.fail("a signal whose handler has no SA_RESTART, or a stop where the call has a timeout, makes the call fail with EINTR: make it again",
				"%d of %d calls that were interrupted broke something: %s", len(real), fired, listed(real))
		}
		if len(wrong) > 0 {
			c.note("it would not survive %s; but no signal that it catches interrupts them (SA_RESTART)", listed(wrong))
		}
	},
}

// interruptible finds out which calls of the subject a signal can interrupt at
// all. In each of its processes that is so where a handler was installed without
// SA_RESTART; where the call has a timeout; and for the calls that wait for
// several things, which are never restarted, where there is any handler (signal(7)).
func (c *Case) interruptible(s *server, session *inject.Session) func(inject.SweepResult) bool {
	k := c.mustDial(0)
	c.mustServe(k.begin())
	inode, err := k.serverInode()
	c.must(err)
	workers := c.serving(s, k)
	endurance, err := c.endurance(workers, inode)
	if !errors.Is(err, os.ErrNotExist) { // of a worker that has ended nothing is known
		c.must(err)
	}
	flags := map[syscall.Signal]bool{} // whether it restarts
	for _, h := range session.Handlers() {
		flags[h.Signal] = h.Restarts()
	}
	caught := map[inject.Where]rig.SignalSet{}
	for where, processes := range map[inject.Where]rig.ProcessInfos{inject.Listener: s.listeners(), inject.Workers: workers} {
		for _, info := range processes {
			if masks, err := c.host.Signals(info); err == nil {
				caught[where] |= masks.Caught
			}
		}
	}
	c.mustServe(k.finish())
	s.workersEnd("its client left")
	s.survives("the end of a worker", "SIGCHLD makes accept fail with EINTR: call it again")
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

// swept says which calls were interrupted, and how often each.
func swept(results []inject.SweepResult) string {
	var parts []string
	for _, r := range results {
		if r.Fired() {
			parts = append(parts, fmt.Sprintf("%s %d (%v)", r.Call, r.Nth, r.In))
		}
	}
	return strings.Join(parts, ", ")
}

func listed(results []inject.SweepResult) string {
	parts := make([]string, len(results))
	for i, r := range results {
		parts[i] = r.String()
	}
	return strings.Join(parts, "; ")
}
