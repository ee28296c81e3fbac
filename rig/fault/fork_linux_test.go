// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// noFork refuses every fork on the host.
func noFork(t *testing.T, host *rig.Host) *fault.Applied {
	t.Helper()
	applied, err := fault.Apply(t.Context(), host.Lab(), fault.NoFork{Host: host})
	rig.SkipIfMissing(t, err)
	return applied
}

// TestNoFork: no process of the host, root's included, forks or gets a thread, and none is
// started there, while what runs goes on, and other hosts fork.
func TestNoFork(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	p, other := clerkOf(t, a, rig.Program("clerk", "1")), clerkOf(t, b, rig.Program("clerk", "1"))
	limit, err := os.ReadFile("/proc/sys/kernel/pid_max")
	require.NoError(t, err)
	obeys(t, p, p.Stdout, "start", "ok")
	for range 2 {
		applied := noFork(t, a)
		obeys(t, p, p.Stdout, "start", "EAGAIN")
		obeys(t, p, p.Stdout, "fail-to-clone-a-thread", "EAGAIN")
		_, err := a.Start(rig.Program("nothing"))
		require.ErrorIs(t, err, syscall.EAGAIN)
		_, err = fault.Apply(t.Context(), lab, fault.NoFork{Host: a})
		require.ErrorContains(t, err, "heal that first")
		require.NoError(t, a.Do(func() error { return nil }))
		obeys(t, other, other.Stdout, "start", "ok")
		require.NoError(t, applied.Heal(t.Context()))
		obeys(t, p, p.Stdout, "start", "ok")
	}
	now, err := os.ReadFile("/proc/sys/kernel/pid_max")
	require.NoError(t, err)
	assert.Equal(t, string(limit), string(now), "the limit of the sandbox")
}

// TestNoForkReapsOrphans: the init of the host goes on meanwhile.
func TestNoForkReapsOrphans(t *testing.T) {
	t.Parallel()
	rig.NeedPrograms(t, "sh", "sleep")
	host := rig.New(t).NewHost("h")
	require.NoError(t, noFork(t, host).Heal(t.Context())) // where it cannot be, nothing is started
	parent := host.MustStart(rig.Exec("sh", "-c", "sleep 1000 & sleep 1000 & exec sleep 1001"))
	family, err := host.AwaitProcesses(t.Context(), "three processes", func(l rig.ProcessInfos) bool {
		return len(l.Where(func(i rig.ProcessInfo) bool { return i.Name == "sleep" })) == 3
	})
	require.NoError(t, err)
	applied := noFork(t, host)
	require.NoError(t, parent.Kill(t.Context()))
	left := host.Matching("the orphans", func(rig.ProcessInfo) bool { return true })
	apply(t, host.Lab(), fault.Kill{Targets: []rig.Target{left}})
	for _, info := range family {
		require.NoError(t, rig.Await(t.Context(), "the reaping of "+info.String(), func() (bool, string, error) {
			_, err := host.PIDOf(info)
			return errors.Is(err, os.ErrNotExist), "", nil
		}))
	}
	require.NoError(t, applied.Heal(t.Context()))
	_, err = host.MustStart(rig.Program("nothing")).Wait(t.Context())
	require.NoError(t, err)
}

// TestNoForkOnHostWithoutProcess: it holds, and the end of all processes heals it.
func TestNoForkOnHostWithoutProcess(t *testing.T) {
	t.Parallel()
	host := rig.New(t).NewHost("h")
	applied := noFork(t, host)
	_, err := host.Start(rig.Program("nothing"))
	require.ErrorIs(t, err, syscall.EAGAIN)
	require.NoError(t, host.KillAll())
	_, err = host.MustStart(rig.Program("nothing")).Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, applied.Heal(t.Context()))
	noFork(t, host) // the end of the lab heals it
}
