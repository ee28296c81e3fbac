// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// startReady starts a program and waits until it says that it is ready.
func startReady(tb testing.TB, h *rig.Host, program string) *rig.Process {
	tb.Helper()
	c := rig.Program(program)
	c.StopSignal = syscall.SIGKILL
	p := h.MustStart(c)
	_, err := p.Stdout.AwaitLine(tb.Context(), "ready", func(line string) bool { return line == "ready" })
	require.NoError(tb, err)
	return p
}

func apply(tb testing.TB, lab *rig.Lab, f fault.Fault) *fault.Applied {
	tb.Helper()
	applied, err := fault.Apply(tb.Context(), lab, f)
	rig.SkipIfMissing(tb, err)
	return applied
}

func TestKillEndsAllAndNobodyElse(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host := lab.NewHost("h")
	doomed, spared := startReady(t, host, "family"), startReady(t, host, "family")
	apply(t, lab, fault.Kill{Targets: []rig.Target{doomed.Family()}})
	exit, err := doomed.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGKILL, exit.Signal)
	left, err := host.AwaitProcesses(t.Context(), "the end of the killed", func(l rig.ProcessInfos) bool { return len(l) == 3 })
	require.NoError(t, err)
	for _, info := range left {
		assert.True(t, info.PID == spared.PID || info.ParentPID == spared.PID, info.String())
	}
	_, err = fault.Apply(t.Context(), lab, fault.Kill{Targets: []rig.Target{doomed.Family()}})
	assert.ErrorIs(t, err, os.ErrProcessDone)
	endFamily(t, lab, spared)
}

// TestKillAllEndsTheHostAlone: everything on it, and a process can be started again.
func TestKillAllEndsTheHostAlone(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host, other := lab.NewHost("h"), lab.NewHost("other")
	for range 2 {
		startReady(t, host, "family")
	}
	spared := startReady(t, other, "family")
	apply(t, lab, fault.KillAll{Host: host})
	left, err := host.Processes()
	require.NoError(t, err)
	assert.Empty(t, left.Alive())
	assert.True(t, spared.Running())
	endFamily(t, lab, startReady(t, host, "family"))
	endFamily(t, lab, spared)
	_, err = fault.Apply(t.Context(), lab, fault.KillAll{})
	assert.ErrorContains(t, err, "Host is nil")
}

// endFamily ends a family as a whole, which the rig leaves to the parent otherwise.
func endFamily(tb testing.TB, lab *rig.Lab, parent *rig.Process) {
	tb.Helper()
	_, _, err := lab.KillTogether(tb.Context(), parent.Family())
	require.NoError(tb, err)
}

// TestStopHoldsEveryThread: of all targets, and healing lets all of them go on.
func TestStopHoldsEveryThread(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	host := lab.NewHost("h")
	parent := startReady(t, host, "family")
	states := func() map[rig.ProcessState]int {
		all, err := host.Processes()
		require.NoError(t, err)
		require.Len(t, all, 3)
		counts := map[rig.ProcessState]int{}
		for _, info := range all {
			for state, n := range threadStates(t, info.PID) {
				counts[state] += n
			}
		}
		return counts
	}
	for range 3 {
		stopped := apply(t, lab, fault.Stop{Targets: []rig.Target{parent.Family()}})
		now := states()
		assert.GreaterOrEqual(t, now[rig.Stopped], 30)
		assert.Len(t, now, 1, "%v: all threads are stopped", now)
		require.NoError(t, stopped.Heal(t.Context()))
		assert.Zero(t, states()[rig.Stopped])
	}
	apply(t, lab, fault.Stop{Targets: []rig.Target{parent.Workers()}})
	assert.NotZero(t, threadStates(t, parent.PID)[rig.Sleeping], "the parent is no target")
	endFamily(t, lab, parent)
	_, err := fault.Apply(t.Context(), lab, fault.Stop{Targets: []rig.Target{parent.Itself()}})
	assert.ErrorIs(t, err, os.ErrProcessDone)
}

// TestStopIsHealedAtTheEnd: a stopped process would outlive the stop of its lab.
// custom and customClients are faults as users write them.
type custom func(context.Context) error

func (custom) String() string { return "nothing is broken" }

func (f custom) Break(context.Context, *rig.Lab) (func(context.Context) error, error) { return f, nil }

type customClients struct {
	fault.Clients
	custom
}

// TestFaultsNameTheirHosts in the journal, by whatever they are about.
func TestFaultsNameTheirHosts(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	a, b, c := lab.NewHost("a"), lab.NewHost("b"), lab.NewHost("c")
	link := lab.NewLink(a, b)
	lab.NewLink(b, c)
	p := startReady(t, c, "family")
	heal := custom(func(context.Context) error { return nil })
	var last rig.Event
	lab.Journal.Follow(func(e rig.Event) {
		if e.Kind == rig.EventFault || e.Kind == rig.EventStorm {
			last = e
		}
	})
	for _, test := range []struct {
		fault fault.Fault
		hosts []string
	}{
		{fault.Unplugged{Host: b}, []string{"b"}},
		{fault.LinkDown{Link: link}, []string{"a", "b"}},
		{fault.Partition{Between: []*rig.Host{a, b}, And: []*rig.Host{c}}, []string{"a", "b", "c"}},
		{fault.Stop{Targets: []rig.Target{p.Itself(), p.Workers()}}, []string{"c"}},
		{fault.Stop{Targets: []rig.Target{c.Matching("all", nil)}}, []string{"c"}},
		{&fault.FullOutput{Of: p}, []string{"c"}},
		{&fault.Storm{MayIdle: true, Storm: rig.Storm{Signals: []syscall.Signal{syscall.SIGURG}, Targets: []rig.Target{p.Itself()}, RatePerSecond: 100}}, []string{"c"}},
		{customClients{fault.Clients{From: a}, heal}, []string{"a"}},
		{heal, nil},
	} {
		applied := apply(t, lab, test.fault)
		assert.Equal(t, test.hosts, last.Hosts, last.What)
		require.NoError(t, applied.Heal(t.Context()))
	}
	endFamily(t, lab, p)
}

func TestStopIsHealedAtTheEnd(t *testing.T) {
	t.Parallel()
	var pid int
	trial := rig.Try(t, func(tb testing.TB) {
		lab := rig.New(tb)
		p := lab.NewHost("h").MustStart(rig.Program("clock"))
		_, err := p.Stdout.AwaitLine(tb.Context(), "ready", func(line string) bool { return line == "ready" })
		require.NoError(tb, err)
		apply(tb, lab, fault.Stop{Targets: []rig.Target{p.Itself()}})
		pid = p.PID
		tb.Cleanup(func() { assert.NotEmpty(tb, threadStates(tb, pid)[rig.Stopped]) })
	})
	assert.False(t, trial.Failed, trial.Log)
	assert.Empty(t, threadStates(t, pid))
}

// TestRestart ends one process and starts another one, again and again.
func TestRestart(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 1)
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 7000)
	first := server.MustStart(rig.Program("echo", address.String()))
	_, err := server.AwaitListen(t.Context(), first, address.Port())
	require.NoError(t, err)
	assert.Same(t, first, first.Latest())

	for name, story := range map[string]struct {
		fault  fault.Restart
		signal syscall.Signal
	}{
		"killed":  {fault.Restart{Process: first}, syscall.SIGKILL},
		"stopped": {fault.Restart{Process: first, Gently: true, After: 300 * time.Millisecond}, syscall.SIGTERM},
	} {
		old := first.Latest()
		began := time.Now()
		apply(t, lab, story.fault)
		latest := first.Latest()
		require.NotSame(t, old, latest, name)
		assert.Same(t, latest, old.Latest())
		assert.GreaterOrEqual(t, time.Since(began), story.fault.After)
		exit, err := old.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, story.signal, exit.Signal, name)
		_, err = server.AwaitListen(t.Context(), latest, address.Port())
		require.NoError(t, err)
		conn, err := clients[0].Dial(t.Context(), address)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

func TestFaultsOfProcessesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := startReady(t, lab.NewHost("h"), "threads")
	for want, f := range map[string]fault.Fault{
		"SIGKILL hits no process: there are no targets":                 fault.Kill{},
		"SIGSTOP holds no process: there are no targets":                fault.Stop{},
		"SIGTERM hits no process: there are no targets":                 fault.Signal{Signal: syscall.SIGTERM},
		"signal 0 does not exist":                                       fault.Signal{Targets: []rig.Target{p.Itself()}},
		"for SIGKILL use Kill":                                          fault.Signal{Signal: syscall.SIGKILL, Targets: []rig.Target{p.Itself()}},
		"for SIGSTOP use Stop":                                          fault.Signal{Signal: syscall.SIGSTOP, Targets: []rig.Target{p.Itself()}},
		"no descriptor is left to no process":                           fault.NoDescriptors{},
		"no process is killed and started again: there is no process":   fault.Restart{},
		"a restart after -1s: give a time":                              fault.Restart{Process: p, After: -time.Second},
		"no host loses power: there is no host":                         fault.PowerCut{},
		"the jump By is 0: give the time by which":                      fault.ClockJump{Process: p},
		"-1 hogs: give a number from 1 up":                              fault.Busy{Hogs: -1},
		"a storm of  at : start a storm: the storm has no signals: nam": &fault.Storm{},
	} {
		_, err := fault.Apply(t.Context(), lab, f)
		assert.ErrorContains(t, err, want)
	}
	assert.True(t, p.Running(), "nothing has happened to it")
}
