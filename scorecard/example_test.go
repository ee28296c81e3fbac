// SPDX-License-Identifier: Apache-2.0

package scorecard_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"forkrig/scorecard"
)

// What one run says, for a terminal.
func ExampleCard_WriteText() {
	card := scorecard.Card{
		Subject: "./server", Kernel: "6.12.0", Seed: 7, Complete: true,
		Checks: []scorecard.Result{
			{Name: "reap", Family: "IPv4", Verdict: scorecard.Pass, Observed: "41 workers ended, all are reaped", Duration: time.Second},
			{Name: "reap", Family: "IPv6", Verdict: scorecard.Pass, Observed: "41 workers ended, all are reaped", Duration: time.Second},
			{Name: "term", Family: "IPv4", Verdict: scorecard.Fail,
				Expected: "SIGTERM ends the listener and its workers", Observed: "3 workers still run",
				Remedy: "the listener does not pass SIGTERM on", Reproduce: "forkrig judge -checks term -family 4 -- ./server"},
		},
	}
	if err := card.WriteText(os.Stdout, scorecard.Style{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ./server
	// kernel 6.12.0, seed 7
	//
	// check  IPv4  IPv6
	// term   fail  -     the listener does not pass SIGTERM on
	// pass 1: reap
	//
	// IPv4 and IPv6: 2 pass, 1 fail, 0 broken, 0 skip
	//
	// term over IPv4: fail
	//   observed   3 workers still run
	//   remedy     the listener does not pass SIGTERM on
	//   reproduce  forkrig judge -checks term -family 4 -- ./server
	//
	// IPv4 and IPv6: 2 pass, 1 fail, 0 broken, 0 skip
}

// A line as each check ends, and at last the summary of a run that was interrupted.
func ExampleResult_Line() {
	card := scorecard.Card{EndedBy: "SIGINT", Checks: []scorecard.Result{
		{Name: "reap", Family: "IPv4", Verdict: scorecard.Pass, Observed: "41 workers ended, all are reaped"},
		{Name: "reuse-live-worker", Family: "IPv4", Verdict: scorecard.Broken, Reason: "not judged: ended by SIGINT", Unjudged: true},
	}}
	for _, result := range card.Checks {
		fmt.Println(result.Line(scorecard.Style{}))
	}
	fmt.Println(card.Summary(false))
	// Output:
	// pass   reap               IPv4  41 workers ended, all are reaped
	// broken reuse-live-worker  IPv4  not judged: ended by SIGINT
	// 1 pass, 0 fail, 1 broken, 0 skip; incomplete: ended by SIGINT, 1 check not judged
}

// Two cards of the same server, the first one written by version 0.1.0.
func ExampleDiff() {
	before, err := scorecard.Parse(strings.NewReader(`{
		"subject": "./server", "kernel": "6.12.0", "seed": 1, "checks": [
			{"name": "reap", "verdict": "pass", "family": "IPv4"},
			{"name": "reap", "verdict": "pass", "family": "IPv6"},
			{"name": "term", "verdict": "fail", "family": "IPv4"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := scorecard.Parse(strings.NewReader(`{
		"schema": 2, "subject": "./server", "kernel": "6.12.0", "seed": 2, "complete": true, "checks": [
			{"name": "reap", "verdict": "fail", "family": "IPv4", "cause": "no wait after SIGCHLD"},
			{"name": "reap", "verdict": "fail", "family": "IPv6", "cause": "no wait after SIGCHLD"},
			{"name": "term", "verdict": "pass", "family": "IPv4"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	difference := scorecard.Diff(before, after)
	if err := difference.WriteText(os.Stdout, scorecard.Style{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println("worse:", difference.Worse())
	// Output:
	// old  ./server
	//      kernel 6.12.0, seed 1
	// new  ./server
	//      kernel 6.12.0, seed 2
	//
	// worse
	//   reap  IPv4 and IPv6  pass → fail  no wait after SIGCHLD
	//
	// better
	//   term  IPv4  fail → pass
	//
	// 2 worse, 1 better, 0 not known, 0 new, 0 gone, 0 the same
	// worse: true
}

// Two shards of a search, as two machines wrote them.
func ExampleMergeDirectories() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for i, verdict := range []scorecard.Verdict{scorecard.Pass, scorecard.Fail} {
		card := scorecard.Card{Subject: "./server", Kernel: "6.12.0", Seed: uint64(7 + i), Complete: true, Shard: scorecard.Shard{Index: i, Of: 2},
			Checks: []scorecard.Result{{Name: "search", Family: "IPv4", Verdict: verdict}}}
		if err := scorecard.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".json")), card); err != nil {
			fmt.Println(err)
		}
	}
	merged, err := scorecard.MergeDirectories(filepath.Join(dir, "merged"), filepath.Join(dir, "0.json"), filepath.Join(dir, "1.json"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(merged.Card.Heading())
	fmt.Println(merged.Card.Checks[0].Verdict, "in the runs:", merged.Card.Checks[0].Runs)
	// Output:
	// ./server
	// 2 runs on kernel 6.12.0, first seed 7
	// fail in the runs: 1 pass, 1 fail, 0 broken, 0 skip
}
