// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReport(t *testing.T) {
	r := newReport()
	plain, race := &tally{mode: Modes[0]}, &tally{mode: Modes[3]}
	r.tallies = []*tally{plain, race}
	kept := func(run *test) string { return "/kept/" + run.name }
	r.add(plain, []*test{{name: "TestA", verdict: passed}, {name: "TestB", verdict: failed}, {name: "TestC", verdict: skipped},
		{name: "TestDefects/no-reap/reap", verdict: passed}, {name: "TestD"}}, kept)
	r.add(race, []*test{{name: "TestB", verdict: failed}, {name: "TestDefects/no-reap/reap", verdict: failed}}, kept)
	assert.Equal(t, 2, plain.countedRuns())
	assert.Equal(t, 1, (&tally{defects: 1}).countedRuns())
	var out bytes.Buffer
	require.NoError(t, r.print(&out))
	for _, want := range []string{
		`(?m)^ *plain +1 +2 +1 +500\.00 +1 +1 +0 +0s$`,
		`(?m)^ *race +1 +1 +1 +1000\.00 +0 +1 +1 +0s$`,
		`(?m)^ *all +2 +3 +2 +666\.67 +1 +2 +1 +0s$`,
		`(?m)^no-reap/reap +2 +1 *$`,
		`failed 2 times \(plain 1, race 1\): TestB\n    /kept/TestB\n    /kept/TestB\n`,
		`failed 1 times \(race 1\): TestDefects/no-reap/reap\n`,
	} {
		assert.Regexp(t, want, out.String())
	}
	assert.Equal(t, "-", perThousand(0, 0))
}

func TestModes(t *testing.T) {
	all, err := choose("")
	require.NoError(t, err)
	assert.Equal(t, Modes, all)
	some, err := choose("race, plain")
	require.NoError(t, err)
	assert.Equal(t, []Mode{Modes[3], Modes[0]}, some)
	_, err = choose("plain,slow")
	assert.ErrorContains(t, err, `there is no mode "slow": give one of plain, hogs, one-core, race, side-by-side`)
}
