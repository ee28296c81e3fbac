// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/checks"
	"forkrig/internal/cli"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

// TestScorecard judges the subject that the flags name, as forkrig judge does. Without
// flags it judges the built-in server, as it is by default, by every check, each as a test
// of its own. Package proofs sets the server up so that each check applies.
func TestScorecard(t *testing.T) {
	t.Parallel()
	if options.Asked() {
		if status := options.Judge(t, rig.Announce()); status != 0 {
			t.Errorf("exit status %d: see the scorecard above", status)
		}
		return
	}
	families := rig.Families[:]
	if testing.Short() {
		families = families[:1]
	}
	results, _, err := judge.Trial{Subject: cli.BuiltIn(), Checks: checks.All(), Families: families}.Run(t)
	require.NoError(t, err)
	for _, r := range results {
		t.Run(fmt.Sprintf("%s/%s", r.Family, r.Name), func(t *testing.T) {
			if r.Verdict == scorecard.Skip { // it does not apply to the server as it is by default
				t.Skip(r.Reason)
			}
			assert.Equal(t, scorecard.Pass, r.Verdict, "%+v", r)
		})
	}
}

// TestSearch plays random stories, as forkrig search does, where the flags ask for it.
// Package proofs has a search of each run.
func TestSearch(t *testing.T) {
	if !options.SearchAsked() {
		t.Skip("-schedules or -soak asks for it; package proofs searches in each run")
	}
	if status := options.Search(t, rig.Announce()); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// TestReplay plays the story of a file again, as forkrig replay does.
func TestReplay(t *testing.T) {
	if options.StoryAsked() == "" {
		t.Skip("-replay FILE asks for it")
	}
	if status := options.Replay(t, rig.Announce()); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
