// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

func TestMain(m *testing.M) { rig.Main(m, programs) }

// noted is a fault that notes what happens to it.
type noted struct {
	name  string
	notes *[]string
	err   error
}

func (n noted) String() string { return n.name }

func (n noted) Break(context.Context, *rig.Lab) (func(context.Context) error, error) {
	*n.notes = append(*n.notes, "break "+n.name)
	return func(context.Context) error {
		*n.notes = append(*n.notes, "heal "+n.name)
		return n.err
	}, nil
}

// TestFaultsHealThemselves: the last fault first, and each once.
func TestFaultsHealThemselves(t *testing.T) {
	var notes []string
	trial := rig.Try(t, func(tb testing.TB) {
		lab := rig.New(tb)
		for _, name := range []string{"a", "b", "c"} {
			applied, err := fault.Apply(tb.Context(), lab, noted{name: name, notes: &notes})
			require.NoError(tb, err)
			if name == "b" {
				require.NoError(tb, applied.Heal(tb.Context()))
				require.NoError(tb, applied.Heal(tb.Context()))
			}
		}
	})
	assert.False(t, trial.Failed, trial.Log)
	assert.Equal(t, []string{"break a", "break b", "heal b", "break c", "heal c", "heal a"}, notes)
}

// TestFaultThatDoesNotHealFailsTheTest: also when nobody asked it to heal.
func TestFaultThatDoesNotHealFailsTheTest(t *testing.T) {
	var notes []string
	trial := rig.Try(t, func(tb testing.TB) {
		_, err := fault.Apply(tb.Context(), rig.New(tb), noted{name: "it rains", notes: &notes, err: errors.New("no sun")})
		require.NoError(tb, err)
	})
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "heal the fault that it rains: no sun")
}

// TestNoFault: nil, also as a typed pointer, is refused before anything is asked of it.
func TestNoFault(t *testing.T) {
	lab := rig.New(t)
	for want, f := range map[string]fault.Fault{
		"apply a fault: it is nil: give a fault":                     nil,
		"apply a fault: the *fault.NeverRead is nil: give a fault":   (*fault.NeverRead)(nil),
		"apply a fault: the *fault.Kill is nil: give a fault":        (*fault.Kill)(nil),
		"apply a fault: the *fault.FullBacklog is nil: give a fault": (*fault.FullBacklog)(nil),
	} {
		_, err := fault.Apply(t.Context(), lab, f)
		assert.EqualError(t, err, want)
	}
	_, err := fault.Apply(t.Context(), nil, fault.Busy{})
	assert.ErrorContains(t, err, "there is no lab")
}
