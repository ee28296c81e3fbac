// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"slices"
	"syscall"

	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// history is what a check did to the subject, and what came of it.
type history struct {
	stimuli []scorecard.Stimulus // all, in the order of the last time
	after   []scorecard.Stimulus // those since the subject last served a new client
	lasting []scorecard.Stimulus // those of faults that are not healed
	// unserved is why the last new client was not served; nil where it was.
	unserved error
	// ended is how many of the starts of the subject the check itself has ended.
	ended int
	// kept is how the subject was when the check saw the fail that it tells of later.
	kept *scorecard.End
}

// Did notes what the check does to the subject: see [scorecard.Stimulus]. [Case.Apply],
// [Conn.Reset] and others that do something call it themselves.
func (c *Case) Did(stimuli ...scorecard.Stimulus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range stimuli {
		c.history.stimuli = append(without(c.history.stimuli, s), s)
		c.history.after = append(without(c.history.after, s), s)
	}
	// What goes on all the time is not what was done last.
	slices.SortStableFunc(c.history.after, func(a, b scorecard.Stimulus) int {
		switch {
		case a.Ambient() == b.Ambient():
			return 0
		case a.Ambient():
			return -1
		}
		return 1
	})
}

// Lasts notes something that is done to the subject until healed is called: that it serves a
// new client meanwhile does not say that it survives.
func (c *Case) Lasts(s scorecard.Stimulus) (healed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.lasting = append(without(c.history.lasting, s), s)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.history.lasting = without(c.history.lasting, s)
	}
}

func without(list []scorecard.Stimulus, s scorecard.Stimulus) []scorecard.Stimulus {
	return slices.DeleteFunc(slices.Clone(list), func(other scorecard.Stimulus) bool { return other == s })
}

// left notes that a client leaves, which ends the worker of a subject that forks.
func (c *Case) left() {
	if c.Subject.forks {
		c.Did(scorecard.WorkerEnds)
	}
}

// served notes what came of a new client. Where it was served, the subject has survived what
// was done before.
func (c *Case) served(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.unserved = err
	if err == nil {
		c.history.after = slices.Clone(c.history.lasting)
	}
}

// endedByCheck notes that the check itself ends the subject, so that its end is no finding.
func (c *Case) endedByCheck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.ended = len(c.servers)
	c.history.after, c.history.unserved = nil, nil
}

// started notes that the subject is started while others of its starts are still there, or
// have been.
func (c *Case) started(before rig.ProcessInfos) {
	c.mu.Lock()
	first := len(c.servers) == 0
	c.mu.Unlock()
	if first {
		return
	}
	here, err := c.PortSockets()
	switch {
	case err != nil:
	case len(here.In(rig.Listening)) > 0:
		c.Did(scorecard.SecondInstance)
	case len(before.Alive()) > 0:
		c.Did(scorecard.RestartWorker)
	case len(here.In(rig.TimeWait)) > 0:
		c.Did(scorecard.RestartTimeWait)
	default:
		c.Did(scorecard.Restart)
	}
}

// KeepEnd keeps how the subject is now for the fail with which the check will end: it goes on,
// and starts the subject again.
func (c *Case) KeepEnd() {
	end := c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.history.kept == nil {
		c.history.kept = end
	}
}

// stimulusOf is what a fault is to the subject, and whether it lasts until it is healed; "" for
// what is none, such as the end of everything.
func stimulusOf(f fault.Fault) (s scorecard.Stimulus, lasts bool) {
	switch f := f.(type) {
	case fault.Signal:
		if f.Signal == syscall.SIGTERM {
			return scorecard.SIGTERM, false
		}
		return scorecard.Signals, false
	case fault.Kill:
		return scorecard.WorkerKilled, false
	case *fault.Storm:
		return scorecard.Signals, true
	case fault.Unplugged:
		return scorecard.ClientVanishes, true
	case fault.NoDescriptors:
		return scorecard.NoDescriptors, true
	case fault.Limit:
		if f.Resource == rig.UserProcesses {
			return scorecard.ForkRefused, true
		}
	case fault.NoFork:
		return scorecard.ForkRefused, true
	case fault.ClosedOutput:
		return scorecard.LogClosed, true
	case fault.FullOutput:
		return scorecard.LogFull, true
	}
	return "", false
}

// end returns how the subject is at the end of a check that it fails; nil where it goes on, or
// where the check itself ended it.
func (c *Case) end() *scorecard.End {
	c.mu.Lock()
	h, servers := c.history, c.servers
	after := slices.Clone(h.after)
	c.mu.Unlock()
	if h.kept != nil || len(servers) == h.ended || c.Host == nil {
		return h.kept
	}
	s := servers[len(servers)-1]
	end := &scorecard.End{After: after}
	if h.unserved != nil {
		c.AwaitRest() // it may be ending
	}
	listens := c.Listens()
	if !listens {
		_, _ = c.Until("the end of the subject", func() (bool, string, error) { return !s.Process.Running(), "it runs", nil })
	}
	switch {
	case listens && len(after) == 0:
		return nil // what holds it up may be a client
	case listens && errors.Is(h.unserved, ErrBusy):
		end.Kind = scorecard.Busy
	case listens && errors.Is(h.unserved, ErrQuiescent): // one that is only slow is not deaf
		end.Kind = scorecard.Deaf
	case listens:
		return nil
	case s.Process.Running():
		end.Kind = scorecard.Deaf
	case s.daemon:
		end.Kind = scorecard.Gone
	default:
		exit, err := s.Process.Wait(c.Context())
		if err != nil {
			return nil
		}
		end.Kind, end.Status = scorecard.Exited, exit.Code
		if exit.Signal != 0 {
			end.Kind, end.Status, end.Signal = scorecard.Killed, 0, rig.SignalName(exit.Signal)
		}
	}
	if len(after) == 0 {
		end.After = h.stimuli // it served a client before it saw what was done
	}
	c.awaitWords(s)
	end.Words = c.lastWords(s)
	return end
}
