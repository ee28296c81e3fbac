// SPDX-License-Identifier: Apache-2.0

package search

import (
	"cmp"
	"errors"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Traits are properties of a subject that [Examine] finds once, so that no story needs
// to. The zero value is of use only for its field AtOnce.
type Traits struct {
	// AtOnce is how many clients the subject serves at the same time; 0 means all of
	// them. Examine does not find it: set it.
	AtOnce int
	// NoProcessShortage says why no story exhausts processes, if the subject starts
	// some for connections and the kernel cannot be made to refuse them; else it is "".
	NoProcessShortage string

	// own is how many processes it has before its first connection.
	own int
	// keptDescriptors is how many descriptors its listener keeps after its first client.
	keptDescriptors int
	// forks says that it starts processes for connections, and that the kernel can be
	// made to refuse them.
	forks bool
	// reapsByTimer says that it waits for ended workers some time after they ended.
	reapsByTimer bool
}

// Examine finds the traits of the subject in a family, with two or three labs. The
// error says why the subject cannot be judged. Requires what a lab requires: see
// package rig.
func Examine(tb rig.TB, subject judge.Subject, family rig.Family) (Traits, error) {
	tb.Helper()
	var traits Traits
	workers := false
	result := check(false, func(c *judge.Case) {
		p := newPlayer(c, Traits{reapsByTimer: true}, judge.Launch{}) // a timer is tolerated here, to see whether it has one
		traits.own = len(p.server.Own)
		first := p.connect(1, 1)
		if first == nil {
			c.Broken("a client cannot connect")
		}
		p.exchange(first, 40)
		workers = len(p.workersOf(first)) > 0
		p.checkEnd()
		traits.reapsByTimer = p.timerReaped
		c.AwaitRest()
		traits.keptDescriptors = len(p.baseline.Gained(c.Descriptors(p.server.Listeners())))
	}).Judge(tb, subject, family)
	if result.Verdict != scorecard.Pass {
		return traits, errors.New(cmp.Or(result.Reason, result.Observed))
	}
	if !workers {
		return traits, nil
	}
	result = check(false, func(c *judge.Case) {
		p := newPlayer(c, traits, judge.Launch{Own: traits.own, Limited: true})
		p.connect(1, 1)
		p.checkEnd()
	}).Judge(tb, subject, family)
	if traits.forks = result.Verdict == scorecard.Pass; !traits.forks {
		traits.NoProcessShortage = cmp.Or(result.Reason, result.Observed)
	}
	return traits, nil
}

// checkName is the name of the search as a check, and meaning what it expects.
const (
	checkName = "search"
	meaning   = "whatever happens, clients receive their answers, and the server returns to its baseline"
)
