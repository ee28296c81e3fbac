package search

import (
	"fmt"
	"strings"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Traits are what is found out about a subject once, so that each story need not.
type Traits struct {
	// Own is how many processes it has before its first connection.
	Own int
	// Kept is how many descriptors its listener keeps after its first client.
	Kept int
	// Forks says that it starts processes for connections, and that the kernel can be
	// made to refuse them.
	Forks bool
	// NotTold says why no story runs out of processes, where it starts some and the
	// kernel cannot be made to refuse them.
	NotTold string
	// Lazy says that it waits for ended workers by a timer, some time later.
	Lazy bool
	// AtOnce is how many clients it serves at a time; 0 means all. It is not found
	// out: whoever sets the subject up knows.
	AtOnce int
}

// Examine finds the traits of the subject in a family. The error says why it
// cannot be judged.
func Examine(tb rig.TB, subject judge.Subject, family rig.Family) (Traits, error) {
	tb.Helper()
	var traits Traits
	workers := false
	stage := judge.Stage{Name: Name, Meaning: Meaning, Subject: subject, Family: family, Clients: Clients}
	result := judge.Tell(tb, stage, func(s *judge.Scene) {
		s.Must(s.Start(0, false))
		traits.Own = len(s.Own())
		before := descriptors(s)
		p := player{Scene: s, subject: subject, traits: traits}
		p.traits.Lazy = true // it is given the time, to see whether it needs it
		p.begin()
		k := p.connect(1, 1)
		if k == nil {
			s.Broken("a client cannot connect")
		}
		p.exchange(k, 40)
		holders := p.holders()
		for _, info := range holders[p.inode(k)] {
			workers = workers || !s.IsOwn(info)
		}
		p.finish()
		traits.Lazy = p.waited
		s.Settled()
		for pid, now := range descriptors(s) {
			traits.Kept = max(traits.Kept, len(judge.Gained(before[pid], now)))
		}
	})
	if result.Verdict != scorecard.Pass {
		return traits, fmt.Errorf("%s%s", result.Observed, " "+result.Cause)
	}
	if !workers {
		return traits, nil
	}
	result = judge.Tell(tb, stage, func(s *judge.Scene) {
		s.Must(s.Start(traits.Own, true))
		p := player{Scene: s, subject: subject, traits: traits}
		p.begin()
		p.connect(1, 1)
		p.finish()
	})
	if traits.Forks = result.Verdict == scorecard.Pass; !traits.Forks {
		traits.NotTold = strings.TrimSpace(result.Observed + " " + result.Cause)
	}
	return traits, nil
}

// Name is what a search is called as a check, and Meaning what it expects.
const (
	Name    = "search"
	Meaning = "whatever happens, clients get what they are owed, and all is back to the baseline afterwards"
)

// Budget is what schedules for the subject are made of.
func (t Traits) Budget(subject judge.Subject, families ...rig.Family) Budget {
	return Budget{Families: families, Service: subject.Service, Closes: subject.Closes, Forks: t.Forks}
}

// descriptors are those of the listeners, by process.
func descriptors(s *judge.Scene) map[int]rig.FDs {
	all := map[int]rig.FDs{}
	for _, info := range s.Listeners() {
		if fds, err := s.Host().FDs(info); err == nil { // or it has ended
			all[info.PID] = fds
		}
	}
	return all
}
