// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// preliminary is what came of a trial of the subject in one family in which nothing is done to
// it: it is started, a client and another one converse with it, and it is started again on a
// host without leftovers. What fails there would fail every check.
type preliminary struct {
	profile Profile
	absent  error            // why it cannot be judged in this family
	again   *scorecard.Cause // what the cause of that is if it was started before, in another family
	cause   *scorecard.Cause // what keeps most checks from judging; nil where nothing does
	serial  bool             // a second instance does not start while one lives in another lab
}

// Reach finds out in which of the address families the subject can be judged, and what it is:
// it starts it in each, and converses. For a family in which it does not listen there is an
// error that says why, with what the subject wrote. The profile is that of the first family in
// which the subject was found to be something.
func Reach(tb rig.TB, subject Subject, families ...rig.Family) (Profile, map[rig.Family]error) {
	tb.Helper()
	profile, found := preliminaries(tb, subject, families, false, nil)
	absent := map[rig.Family]error{}
	for family, p := range found {
		if p.absent != nil {
			absent[family] = p.absent
		}
	}
	return profile, absent
}

// preliminaries makes the preliminary trials in all families: whole ones, or only what finds
// out the profile.
func preliminaries(tb rig.TB, subject Subject, families []rig.Family, whole bool, record Record) (profile Profile, found map[rig.Family]preliminary) {
	trials := make([]preliminary, len(families))
	var wait sync.WaitGroup
	for i, family := range families {
		wait.Go(func() { trials[i] = try(tb, subject, family, whole, record) })
	}
	wait.Wait()
	if slices.ContainsFunc(trials, func(p preliminary) bool { return p.absent == nil }) {
		for i, family := range families {
			if ended := new(rig.NotListeningError); errors.As(trials[i].absent, &ended) && whole && tb.Context().Err() == nil {
				// It may have ended because of the one in the other family.
				if again := try(tb, subject, family, whole, record); again.absent == nil {
					trials[i], trials[i].serial = again, true
				}
			}
		}
	}
	found = map[rig.Family]preliminary{}
	for i, family := range families {
		found[family] = trials[i]
		if trials[i].absent == nil {
			trials[i].profile.facts.OneInstance = trials[i].serial
			profile = profile.join(trials[i].profile)
		}
	}
	for family, p := range found {
		if cause := sameRestart(p, trials); cause != nil {
			found[family] = preliminary{cause: cause}
		}
	}
	return profile, found
}

// sameRestart returns the cause why a subject that was started in one family does not start again,
// where it has not started in this family for the same reason, such as a PID file that it left.
func sameRestart(p preliminary, trials []preliminary) *scorecard.Cause {
	for _, other := range trials {
		if p.again != nil && other.cause != nil && other.cause.Stimulus == scorecard.Restart &&
			scorecard.MaskWords(p.again.Text) == scorecard.MaskWords(other.cause.Text) {
			return other.cause
		}
	}
	return nil
}

// try makes the preliminary trial in one family.
func try(tb rig.TB, subject Subject, family rig.Family, whole bool, record Record) (p preliminary) {
	c := &Case{Family: family, Subject: subject, undisturbed: true, record: record}
	trial := rig.Sub(tb.Context(), tb, func(tb rig.TB) {
		c.build(tb)
		s, err := c.TryStart(Launch{Watched: true})
		if err != nil {
			p.absent, p.again = err, c.restartCause(err)
			return
		}
		p.profile, err = c.profile()
		wrong := new(WrongServiceError)
		switch {
		case errors.As(err, &wrong) || err != nil && !whole && !wrongAnswer(err):
			if p.absent = err; s.Process.Running() {
				p.absent = fmt.Errorf("%w\nit listens at %v", err, s.Listener.Local)
			}
		case err != nil && whole:
			p.cause = c.unservedCause(scorecard.Conversation, err)
		case whole:
			c.Subject = p.profile.Apply(c.Subject)
			c.Service, err = c.Subject.spoken()
			c.Must(err)
			if again := c.revive(); again != nil {
				s = again
			}
			if p.cause, p.absent = c.firstClients(s); p.cause != nil || p.absent != nil {
				return
			}
			p.profile.traits = c.Subject.traits
			p.profile.lines = c.waitsForLines()
			c.crowd(&p.profile)
			p.profile.resets, p.profile.routine = c.resets.Load(), routineWords(s)
			p.cause, p.serial = c.startsElsewhere(tb)
		default:
			c.crowd(&p.profile)
		}
	})
	if c.Host != nil && c.Host.Overcrowded() {
		return preliminary{profile: p.profile, absent: errOvercrowded}
	}
	if tb.Context().Err() != nil {
		p.cause = nil // what was not observed until then says nothing about the subject
	}
	if p.absent == nil && (trial.Failed || trial.Skipped) {
		p.absent = errors.New(strings.TrimSpace(trial.Log))
	}
	p.keep(c)
	return p
}

// keep ends the recording of the trial, and enters it into the cause.
func (p *preliminary) keep(c *Case) {
	result := scorecard.Result{Name: "preliminary", Verdict: scorecard.Pass, Family: c.Family.String()}
	if p.cause != nil {
		result.Verdict, result.Observed = scorecard.Fail, p.cause.Text
	}
	if name := c.recording("preliminary trial "+result.Family, result); p.cause != nil {
		p.cause.Recording = name
	}
}

// revive starts the subject again where it has ended, on a host without leftovers, and returns
// nil where it has not.
func (c *Case) revive() *Instance {
	c.AwaitRest()
	if c.ListensOn() {
		return nil
	}
	c.KillSubjectWithoutTrace()
	s, err := c.TryStart(Launch{Watched: true})
	c.Must(err)
	c.served(nil)
	return s
}

// firstClients lets two clients come, one after the other. absent says why the subject cannot be
// judged as its service is.
func (c *Case) firstClients(s *Instance) (cause *scorecard.Cause, absent error) {
	k, err := c.Dial(0)
	if err == nil {
		err = k.AwaitAccepted()
	}
	if errors.Is(err, errDeferred) {
		return nil, speakFirst()
	}
	if err == nil {
		c.AwaitRest() // it has forked
		workers, listErr := s.Workers()
		c.Must(listErr)
		if c.Subject.forks = len(workers) > 0; !c.Subject.forks {
			c.Subject.serves = s.serves(k)
		}
		err = k.Finish()
	}
	if err != nil {
		return c.unservedCause(scorecard.Conversation, err), nil
	}
	c.AwaitRest()
	left := scorecard.ClientLeaves
	if c.Subject.forks {
		left = scorecard.WorkerEnds
	}
	c.Did(left)
	if err := c.visit(1); err != nil {
		return c.unservedCause(left, err), nil
	}
	// A client in the backlog of a listener that ends looks as if it was served.
	c.AwaitRest()
	if !c.ListensOn() {
		return c.unservedCause(left, errors.New("the listener has ended")), nil
	}
	return c.spins(), nil
}

// spins is the cause where the subject, which has served its clients, is in a busy loop: no
// check can tell when it waits. One that is seldom at rest, as by a timer, is not meant.
func (c *Case) spins() *scorecard.Cause {
	if c.AwaitRest() {
		return nil
	}
	if now, err := c.stall.look(); err != nil || now.Fruitless < minFruitless {
		return nil
	}
	from := c.stall.now()
	rests := func() (bool, string, error) {
		yes, err := c.stall.restsSince(from)
		return yes, "", err
	}
	_, err := c.Until("the subject at rest", rests)
	if errors.Is(err, rig.ErrNotObserved) {
		_, err = c.Until("the subject at rest", rests) // on a busy machine it gets little of it
	}
	if !errors.Is(err, ErrBusy) {
		return nil
	}
	end := scorecard.End{Kind: scorecard.Busy}
	return &scorecard.Cause{Text: end.String() + " while no client is connected", End: &end,
		Remedy: "let it sleep until a client comes or speaks: in a blocking accept or read, or in poll, select or epoll_wait with a timeout other than 0"}
}

// minFruitless is the processor time without a result from which on a subject is suspected to
// be in a busy loop.
const minFruitless = time.Second / 4

// unservedCause is the cause where a client is not served after a stimulus.
func (c *Case) unservedCause(stimulus scorecard.Stimulus, err error) *scorecard.Cause {
	c.Did(stimulus)
	c.served(err)
	if end := c.end(); end != nil && end.Kind != scorecard.Deaf {
		cause := scorecard.NewCause(*end, stimulus)
		return &cause
	}
	text := "a client is not served: " + FirstLine(err)
	if stimulus != scorecard.Conversation {
		text = fmt.Sprintf("the second client is not served %v: %s", stimulus, FirstLine(err))
	}
	cause := &scorecard.Cause{Text: text, Stimulus: stimulus, End: c.end()}
	if stimulus == scorecard.Conversation {
		cause.Remedy = "let the server accept and answer, or name the right service with -service"
	}
	return cause
}

// restartCause is the cause where the subject does not listen when it is started again.
func (c *Case) restartCause(err error) *scorecard.Cause {
	c.Did(scorecard.Restart)
	cause := &scorecard.Cause{Text: "the server does not listen when it is started again: " + StartFailure(err), Stimulus: scorecard.Restart}
	if end := c.end(); end != nil {
		*cause = scorecard.NewCause(*end, scorecard.Restart)
	}
	return cause
}

// startsElsewhere starts the subject in a lab of its own while the first instance lives, and
// otherwise when that has ended.
func (c *Case) startsElsewhere(tb rig.TB) (cause *scorecard.Cause, serial bool) {
	start := func() (err error) {
		again := &Case{Family: c.Family, Subject: c.Subject}
		trial := rig.Sub(tb.Context(), tb, func(tb rig.TB) {
			again.build(tb)
			if _, err = again.TryStart(Launch{}); err == nil {
				return
			}
			cause = again.restartCause(err)
		})
		if err == nil && (trial.Failed || trial.Skipped) {
			err = errors.New(strings.TrimSpace(trial.Log))
		}
		return err
	}
	if start() == nil || tb.Context().Err() != nil {
		return nil, false
	}
	c.KillSubject()
	if start() == nil {
		return nil, true
	}
	return cause, false
}
