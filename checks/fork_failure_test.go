// SPDX-License-Identifier: Apache-2.0

package checks_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"forkrig/checks"
	"forkrig/internal/cli"
	"forkrig/rig"
	"forkrig/scorecard"
)

// TestForkFailureByLimit: the way of older kernels gives the same verdicts. The other way is
// seen with all checks in package proofs.
func TestForkFailureByLimit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want scorecard.Verdict
	}{
		"right":                 {nil, scorecard.Pass},
		"right, executes":       {[]string{"-worker", "exec"}, scorecard.Pass},
		"ends":                  {[]string{"-defect", "exit-on-fork-failure"}, scorecard.Fail},
		"keeps the connections": {[]string{"-defect", "leak-conn-on-fork-failure"}, scorecard.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := checks.ForkFailureByLimit.Judge(t, cli.BuiltIn(test.args...), rig.IPv4)
			assert.Equal(t, test.want, result.Verdict, "%+v", result)
		})
	}
}
