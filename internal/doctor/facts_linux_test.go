// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/kernels/probes"
)

// TestFacts tells what an answer means.
func TestFacts(t *testing.T) {
	for _, f := range facts {
		assert.Equal(t, finding{Name: f.name, State: limited, Detail: f.detail, Costs: f.costs, Remedy: f.upgrade},
			f.finding(probes.Answer{ID: f.id, Value: f.answer}))
		assert.Equal(t, finding{Name: f.name, State: works, Detail: f.right}, f.finding(probes.Answer{ID: f.id, Value: "another"}))
		assert.Equal(t, works, f.finding(probes.Answer{ID: f.id, Missing: "a feature"}).State)
		assert.Equal(t, unknown, f.finding(probes.Answer{ID: f.id, Broken: "it took too long"}).State)
	}
}

// TestEachFactHasAProbe and an answer, whichever it is.
func TestEachFactHasAProbe(t *testing.T) {
	var found []finding
	askFacts(t.Context(), func(f finding) { found = append(found, f) })
	require.Len(t, found, len(facts))
	for _, f := range found {
		assert.NotEqual(t, unknown, f.State, "%+v", f)
	}
}
