// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"forkrig/kernels/probes"
)

// TestKernelBinds asks the kernel that runs. Where it is one of those that
// answer wrongly, this test says so.
func TestKernelBinds(t *testing.T) { assert.NoError(t, kernelBinds(t.Context())) }

// TestKernelIsBlamed gives wrong answers in the kernel's place.
func TestKernelIsBlamed(t *testing.T) {
	known := 0
	for _, p := range probes.All() {
		right := rightBinds[p.ID]
		if right == "" {
			continue
		}
		known++
		answer := probes.Answer{ID: p.ID, Name: p.Name, Source: p.Source, Value: right}
		assert.NoError(t, wrongBinds([]probes.Answer{answer}), p.ID)
		answer.Value = "1" // what bind returned on Linux 6.0.16
		assert.ErrorContains(t, wrongBinds([]probes.Answer{answer}), p.Name+" is 1 instead of "+right+" ("+p.ID+": "+p.Source+")")
		answer.Value, answer.Missing = "", "ipv6"
		assert.NoError(t, wrongBinds([]probes.Answer{answer}), p.ID)
		answer.Missing, answer.Broken = "", "waited 10s"
		assert.ErrorContains(t, wrongBinds([]probes.Answer{answer}), "ask the kernel about "+p.Name+": waited 10s")
	}
	assert.Equal(t, len(rightBinds), known, "probes of these numbers")
}
