// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// Check is an expectation of a server, judged from observations.
type Check struct {
	Name    string // stable: scripts select by it
	Meaning string // one line
	// Defects are the defects of the reference server that the check must catch.
	Defects []string

	// Judges are the stimuli that the check is about. Where the subject does not survive one of
	// them in the preliminary trial, only the checks that are about it judge.
	Judges []scorecard.Stimulus

	// Clients is how many hosts the clients have; 0 means one.
	Clients int
	// Needs are what the subject's service must be able to do: the check is skipped otherwise.
	Needs []dialogue.Ability
	// Forks says that it needs a process for each connection: it is skipped, without a start of the
	// subject, where the preliminary trial saw that none comes.
	Forks bool
	// Long says that it may take several seconds at any subject: it begins before the others.
	Long bool
	// Binds says that it relies on the kernel's answers to bind.
	Binds bool
	// Hasty ends waits when nothing has happened for an eighth of [rig.Settling]. A failure
	// is a suspicion then: on a busy machine it may be wrong.
	Hasty bool

	Run func(*Case)
}

// Judge judges the subject in one address family and returns the verdict. It does
// not fail tb, whatever the verdict. It runs in a lab of its own, so that calls
// may run at the same time. It returns soon after the context of tb has ended, or
// after 2 minutes ([rig.Scaled]); the result says then that nothing was judged.
func (check Check) Judge(tb rig.TB, subject Subject, family rig.Family) scorecard.Result {
	tb.Helper()
	return check.JudgeRecorded(tb, subject, family, nil)
}

// JudgeRecorded is [Check.Judge] with the lab recorded, unless record is nil.
func (check Check) JudgeRecorded(tb rig.TB, subject Subject, family rig.Family, record Record) scorecard.Result {
	tb.Helper()
	return (&Run{Check: check, Family: family, record: record}).judge(tb, subject, nil)
}
