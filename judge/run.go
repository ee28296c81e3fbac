// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Run is one check of a subject in one address family, while it goes on.
type Run struct {
	Check  Check
	Family rig.Family
	Began  time.Time

	waits    rig.Waits
	journal  func(rig.Event)  // nil where the journal is not followed
	record   Record           // nil where the lab is not recorded
	deadline time.Duration    // 0 means [checkDeadline]
	leaving  time.Duration    // 0 means [cleanupTime]
	ended    chan rig.Outcome // gets the outcome, also of a check that was left behind
}

// Waiting returns what the check waits for now, or waited for last.
func (r *Run) Waiting() rig.Waiting { return r.waits.Latest() }

// checkDeadline is how long one check may take: four of the longest waits for the subject. It
// bounds a check where -within gives the run more than its minute, and decides no verdict: a check
// that passes it is broken.
func checkDeadline() time.Duration { return rig.Scaled(2 * time.Minute) }

// cleanupTime is how long an ended check may take to end its subject and its lab. After
// that the run goes on without it, and the end of the sandbox ends it.
const cleanupTime = 10 * time.Second

// EndedError is the cause with which a context ends that bounds a run: see [context.Cause].
type EndedError struct {
	By string // such as "SIGINT" or "-within 2m"
}

func (e *EndedError) Error() string { return "ended by " + e.By }

// judge judges, with what is done to the subject told to journal, which may be nil.
func (r *Run) judge(tb rig.TB, subject Subject, journal func(rig.Event)) scorecard.Result {
	tb.Helper()
	if r.journal = journal; r.Began.IsZero() {
		r.Began = time.Now()
	}
	deadline := cmp.Or(r.deadline, checkDeadline())
	ctx, cancel := context.WithTimeoutCause(tb.Context(), deadline, &EndedError{By: "the check's own deadline of " + deadline.String()})
	defer cancel()
	ctx = rig.WithWaits(ctx, &r.waits)
	c := &Case{Check: r.Check, Subject: subject, Family: r.Family, run: r, limit: ctx, record: r.record}
	r.ended = make(chan rig.Outcome, 1)
	go func() {
		r.ended <- rig.Sub(ctx, tb, func(tb rig.TB) {
			c.build(tb)
			c.applies()
			c.Check.Run(c)
			c.pass()
		})
	}()
	var outcome rig.Outcome
	select {
	case outcome = <-r.ended:
	case <-ctx.Done():
		late := time.NewTimer(cmp.Or(r.leaving, rig.Scaled(cleanupTime)))
		defer late.Stop()
		select {
		case outcome = <-r.ended:
		case <-late.C:
		}
	}
	result := c.outcome(ctx, tb.Context().Err() == nil, outcome)
	result.Duration = time.Since(r.Began)
	result.Recording = c.recording(result.Name+" "+result.Family, result)
	return result
}

// outcome is the result of a check that has ended, or that ctx has ended: its own
// deadline where the run goes on.
func (c *Case) outcome(ctx context.Context, runGoesOn bool, outcome rig.Outcome) scorecard.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := c.result
	result.Name, result.Family, result.Expected = c.Check.Name, c.Family.String(), c.Check.Meaning
	switch {
	case result.Verdict != "" && result.Verdict != scorecard.Pass && result.Verdict != scorecard.Skip:
	case result.Verdict == "" && ctx.Err() != nil:
		notJudged(&result, context.Cause(ctx))
		if waiting := c.run.Waiting(); waiting.What != "" && runGoesOn {
			result.Observed = fmt.Sprintf("the check waited %v for %s", time.Since(waiting.Since).Round(time.Second), waiting.What)
			if waiting.Seen != "" {
				result.Observed += "; last seen: " + waiting.Seen
			}
		}
	case outcome.Failed:
		// An error of the rig itself, or something was left behind.
		result.Verdict, result.Findings = scorecard.Broken, nil
		lines := strings.Split(strings.TrimSpace(outcome.Log), "\n")
		result.Observed, result.Reason = "the rig met an error, so nothing is known", lines[0]
		result.Evidence = lines
	case outcome.Skipped && result.Verdict == "":
		result.Verdict, result.Reason = scorecard.Skip, strings.TrimSpace(outcome.Log)
		if outcome.Missing != nil {
			result.Missing = string(outcome.Missing.Feature)
		}
	}
	return result
}

// notJudged makes the result that of a check that was ended before it had a verdict,
// or that never began.
func notJudged(result *scorecard.Result, cause error) {
	var ended *EndedError
	if !errors.As(cause, &ended) {
		ended = &EndedError{By: "the end of the run"}
	}
	result.Verdict, result.Unjudged = scorecard.Broken, true
	result.Reason = "not judged: " + ended.Error()
}
