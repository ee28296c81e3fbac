// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	"forkrig/judge"
)

// All returns every check, in the order of the scorecard.
func All() []judge.Check {
	return []judge.Check{
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
func Select(names string) ([]judge.Check, error) {
	all := All()
	if strings.TrimSpace(names) == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var selected []judge.Check
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
