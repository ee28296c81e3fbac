// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"fmt"
	"strings"

	"forkrig/judge"
	"forkrig/scorecard"
)

// All returns every check, in the order of the scorecard.
func All() []judge.Check {
	return []judge.Check{
		reap, reapBurst, reapExact,
		eintrAccept, eintrWorker, eintrSweep, signalStorm, handlerSafety,
		reuseTimeWait, reuseLiveWorker, secondInstance, restartGap, reload,
		finOnClose, fdSteady, concurrent, backlogBurst,
		bytesExact, slowReader, cleanClose,
		resetSurvived, peerGone, vanishedClient,
		acceptAborted, acceptEMFILE, acceptShort, forkFailure, workerKilled,
		logClosed, logFull,
		term,
	}
}

// Select returns the checks with the given names, separated by commas, in the
// order of [All]; "" means all of them, and the name of a check that was divided its
// successors. The error names what is unknown.
func Select(names string) ([]judge.Check, error) {
	all := All()
	if strings.TrimSpace(names) == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if scorecard.Successors(name) == nil {
			wanted[name] = true
		}
		for _, successor := range scorecard.Successors(name) {
			wanted[successor] = true
		}
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

// Renamed explains the names that are those of checks that were divided, such as
// "accept-errors is now accept-aborted, accept-emfile and accept-short"; "" where there is none.
func Renamed(names string) string {
	var told []string
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if now := scorecard.Successors(name); now != nil {
			last := len(now) - 1
			told = append(told, fmt.Sprintf("%s is now %s and %s", name, strings.Join(now[:last], ", "), now[last]))
		}
	}
	return strings.Join(told, "; ")
}

// Names returns the names of all checks.
func Names() []string {
	var names []string
	for _, check := range All() {
		names = append(names, check.Name)
	}
	return names
}
