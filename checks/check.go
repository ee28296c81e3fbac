package checks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Check is an expectation of a server, judged from observations.
type Check struct {
	Name    string // stable: scripts select by it
	Meaning string // one line
	// Defects are the defects of the reference server that the check must catch.
	Defects []string

	// clients is how many hosts the clients have; 0 means one.
	clients      int
	conversation needs
	// binds says that it relies on the kernel's answers to bind.
	binds bool

	run func(*Case)
}

// needs is what a check has to be able to say to a subject. The zero value is nothing.
type needs uint8

const (
	connections needs = iota // nothing: connections are enough
	answers                  // something that is answered
	dialogue                 // several things on one connection
)

// All returns every check, in the order of the scorecard.
func All() []Check {
	return []Check{
		reap, reapBurst, reapExact,
		eintrAccept, eintrWorker, eintrSweep, signalStorm,
		reuseTimeWait, reuseLiveWorker, secondInstance,
		finOnClose, fdSteady, concurrent, backlogBurst,
		bytesExact, slowReader,
		resetSurvived, peerGone, vanishedClient,
		acceptErrors, forkFailure,
		logClosed, logFull,
		term,
	}
}

// Select returns the checks with the given names, separated by commas, in the
// order of [All]; "" means all of them. The error names what is unknown.
func Select(names string) ([]Check, error) {
	all := All()
	if strings.TrimSpace(names) == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var selected []Check
	for _, check := range all {
		if wanted[check.Name] {
			selected = append(selected, check)
			delete(wanted, check.Name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no check called %q; the checks are %s", name, strings.Join(Names(), ", "))
	}
	return selected, nil
}

// Names returns the names of all checks.
func Names() []string {
	var names []string
	for _, check := range All() {
		names = append(names, check.Name)
	}
	return names
}

// Run judges the subject in one address family and returns the verdict. It does
// not fail tb, whatever the verdict. It runs in a lab of its own, so that calls
// may run at the same time.
func (check Check) Run(tb testing.TB, subject Subject, family rig.Family) scorecard.Result {
	tb.Helper()
	began := time.Now()
	c := &Case{check: check, subject: subject, Family: family}
	trial := rig.Try(tb, func(tb testing.TB) {
		c.build(tb)
		c.applies()
		check.run(c)
		c.pass()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	result := c.result
	result.Name, result.Family, result.Expected = check.Name, family.String(), check.Meaning
	result.Duration = time.Since(began)
	switch {
	case result.Verdict == scorecard.Fail || result.Verdict == scorecard.Broken:
	case trial.Failed:
		// An error of the rig itself, or something was left behind.
		result.Verdict = scorecard.Broken
		lines := strings.Split(strings.TrimSpace(trial.Log), "\n")
		result.Observed, result.Cause = "the check could not be carried out", lines[0]
		result.Evidence = lines
	case trial.Skipped && result.Verdict == "":
		result.Verdict, result.Cause = scorecard.Skip, strings.TrimSpace(trial.Log)
	}
	return result
}
