// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// TestStormGoesOnUntilHealed, and begins with the fault.
func TestStormGoesOnUntilHealed(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := startReady(t, lab.NewHost("h"), "threads")
	storm := apply(t, lab, fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []rig.Target{p.Itself()}, RatePerSecond: 2000,
	}})
	used := func() int {
		info, err := p.Info()
		require.NoError(t, err)
		return int(info.CPUTime)
	}
	before := used()
	require.NoError(t, rig.Await(t.Context(), "a process that is kept busy by signals", func() (bool, string, error) {
		return used() > before, "", nil
	}))
	require.NoError(t, storm.Heal(t.Context()))
	assert.Contains(t, lab.Journal.Tail(3), "signals sent in")
	assert.True(t, p.Running())
}

// TestSignalHitsItsTargetsOnce: a process that has ended is none of them.
func TestSignalHitsItsTargetsOnce(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host := lab.NewHost("h")
	p, other := startReady(t, host, "threads"), startReady(t, host, "threads")
	terminate := fault.Signal{Signal: syscall.SIGTERM, Targets: []rig.Target{p.Itself()}}
	assert.Contains(t, terminate.String(), "SIGTERM hits h/threads")
	apply(t, lab, terminate)
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGTERM, exit.Signal)
	assert.True(t, other.Running())
	_, err = fault.Apply(t.Context(), lab, terminate)
	assert.ErrorContains(t, err, "no targeted process is alive")
}

// TestStormThatReachesNobodyIsNoFault: its target has ended.
func TestStormThatReachesNobodyIsNoFault(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := startReady(t, lab.NewHost("h"), "threads")
	require.NoError(t, p.Kill(t.Context()))
	_, err := fault.Apply(t.Context(), lab, fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []rig.Target{p.Itself()},
	}})
	assert.ErrorContains(t, err, "without reaching a process")
}

// TestFloodOfSIGCHLDWithoutChildren: there is nothing to wait for.
func TestFloodOfSIGCHLDWithoutChildren(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := startReady(t, lab.NewHost("h"), "threads")
	masks, err := p.Signals()
	require.NoError(t, err)
	require.True(t, masks.Caught.Has(syscall.SIGCHLD))
	wakeups := func() uint64 {
		info, err := p.Info()
		require.NoError(t, err)
		n, err := p.Host.Wakeups(info)
		require.NoError(t, err)
		return n
	}
	before := wakeups()
	apply(t, lab, fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGCHLD}, Targets: []rig.Target{p.Itself()}, Burst: 100, Pause: 1e6,
	}})
	require.NoError(t, rig.Await(t.Context(), "wake-ups", func() (bool, string, error) { return wakeups() > before+20, "", nil }))
	children, err := p.Descendants()
	require.NoError(t, err)
	assert.Empty(t, children)
}
