// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"os"
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
	storm := apply(t, lab, &fault.Storm{Storm: rig.Storm{
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
	assert.ErrorIs(t, err, os.ErrProcessDone)
}

// TestStormThatReachesNobodyIsNoFault: its target has ended.
func TestStormThatReachesNobodyIsNoFault(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := startReady(t, lab.NewHost("h"), "threads")
	require.NoError(t, p.Kill(t.Context()))
	_, err := fault.Apply(t.Context(), lab, &fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGUSR1}, Targets: []rig.Target{p.Itself()},
	}})
	assert.ErrorContains(t, err, "without reaching a process")
}

// TestStormThatMayIdle begins without a target, reaches the one that comes, and tells how often.
func TestStormThatMayIdle(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host := lab.NewHost("h")
	storm := &fault.Storm{MayIdle: true, Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}, Targets: []rig.Target{host.Matching("every process", nil)}, RatePerSecond: 2000,
	}}
	none, err := storm.Result()
	require.NoError(t, err)
	assert.Zero(t, none)
	applied := apply(t, lab, storm)
	assert.Zero(t, storm.Sent())
	p := host.MustStart(rig.Program("threads"))
	require.NoError(t, rig.Await(t.Context(), "signals", func() (bool, string, error) { return storm.Sent() > 100, "", nil }))
	result, err := storm.Result()
	require.NoError(t, err)
	assert.Equal(t, result.Sent, storm.Sent())
	assert.Positive(t, result.Idle)
	require.NoError(t, applied.Heal(t.Context()))
	require.NoError(t, p.Kill(t.Context()))
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
	apply(t, lab, &fault.Storm{Storm: rig.Storm{
		Signals: []syscall.Signal{syscall.SIGCHLD}, Targets: []rig.Target{p.Itself()}, Burst: 100, Pause: 1e6,
	}})
	require.NoError(t, rig.Await(t.Context(), "wake-ups", func() (bool, string, error) { return wakeups() > before+20, "", nil }))
	children, err := p.Descendants()
	require.NoError(t, err)
	assert.Empty(t, children)
}
