// SPDX-License-Identifier: Apache-2.0

// Package doctor says what this machine lacks for the rig, what that costs, and what
// to do about it.
//
// [Outside] reads what can be seen without a sandbox. [Inside] makes a small lab in a
// sandbox and tries each feature once. [Main] does both, prints what they found, and
// returns the exit status.
//
// # Two processes
//
// A sandbox that cannot start prints one error and ends with status 1. [Main] needs
// that error as a finding. So it starts this program again, with the same arguments
// and with [childEnv] in the environment, and reads the standard streams of the child:
//
//   - The first process calls [Outside], starts the child and prints everything.
//   - The child comes to Main with the same arguments, sees the variable, and calls
//     [rig.Sandboxed]. In the sandbox it calls [Inside] and writes each finding to its
//     standard output at once, as one line of JSON, and then a line that says that
//     this was all. It prints no finding of [Outside].
//   - Where no line came, the sandbox did not start, and the standard error of the
//     child says why. Where the last line is missing, the child ended early; what it
//     found until then is kept.
//
// The first process kills the child after [childPatience] times [rig.Patience], the
// kernel kills it when the first process dies, and everything in the sandbox ends with
// the child.
package doctor

import (
	"fmt"
	"slices"
)

// State says how a machine does in one respect.
type State int

// The states, the worst first.
const (
	Missing State = iota // it is not there
	Limited              // it is there in part, or is likely to cause trouble
	Unknown              // it could not be found out
	Works
)

var stateNames = []string{Missing: "missing", Limited: "limited", Unknown: "unknown", Works: "works"}

// String returns the word that stands in output.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames, string(text))
	if i < 0 {
		return fmt.Errorf("read the state of a finding: %q is none of %v", text, stateNames)
	}
	*s = State(i)
	return nil
}

// Finding is what was found out in one respect.
type Finding struct {
	Name  string // of the feature, the capability or the sysctl
	State State
	// Detail says what was seen. Costs says what does not work because of it: checks,
	// faults, flags. Remedy says what to do. The last two are "" where nothing is to be
	// said.
	Detail, Costs, Remedy string
	// Essential says that nothing runs where this is [Missing], and that this may be why
	// where it is [Limited] and nothing runs.
	Essential bool
}

// Runs says whether the rig can run at all: no finding is essential and missing.
func Runs(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Essential && f.State == Missing })
}
