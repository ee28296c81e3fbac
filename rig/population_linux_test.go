// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/population"
	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// TestHostsProcessesSeeThemselvesOnly: numbers of their own, in a /proc of their own.
func TestHostsProcessesSeeThemselvesOnly(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sh", "readlink")
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	neighbour := startReady(t, b, Program("stubborn"))
	p := a.MustStart(Exec("sh", "-c", "echo $$; echo /proc/[0-9]*; readlink /proc/self/exe; pwd"))
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	lines := p.Stdout.Lines()
	require.Len(t, lines, 4)
	assert.Equal(t, "/proc/1 /proc/"+lines[0], lines[1], "init and itself")
	assert.NotEmpty(t, lines[2])
	here, err := os.Getwd()
	require.NoError(t, err)
	assert.Equal(t, here, lines[3])

	info, err := neighbour.Info()
	require.NoError(t, err)
	number, err := b.PIDOf(info)
	require.NoError(t, err)
	assert.Less(t, number, 100, "it counts from the beginning")
	assert.NotEqual(t, neighbour.PID, number)
	require.NoError(t, neighbour.Kill(t.Context()))
	_, err = b.PIDOf(info)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestOrphansAreReapedByTheirHost: a child whose parent ended leaves no zombie.
func TestOrphansAreReapedByTheirHost(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sh", "sleep")
	host := New(t).NewHost("h")
	p := host.MustStart(Exec("sh", "-c", "sleep 0.05 & sleep 0.05 &"))
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	_, err = host.AwaitProcesses(t.Context(), "nobody", func(l ProcessInfos) bool { return len(l) == 0 })
	require.NoError(t, err)
	people := host.people
	require.NoError(t, Await(t.Context(), "init alone", func() (bool, string, error) {
		n, _ := observe.CountProcesses(people.Proc(), maxProcesses)
		return n == 1, fmt.Sprint(n, " processes"), nil
	}))
}

// TestInitOfNoHost: started by hand it does nothing to the processes around it.
func TestInitOfNoHost(t *testing.T) {
	t.Parallel()
	victim := exec.Command("/proc/self/exe")
	victim.Args[0] = program.Arg0("stubborn")
	require.NoError(t, victim.Start())
	init := program.Command(population.Program, "h") // its standard input is at its end
	output, err := init.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 2, init.ProcessState.ExitCode())
	assert.Contains(t, string(output), "is started by a lab only")
	require.NoError(t, victim.Process.Signal(syscall.Signal(0)), "it lives")
	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
}

// murderous sends every signal to its host's init, and kills everybody whom it may.
func murderous([]string) int {
	for s := unix.Signal(1); s <= maxSignal; s++ {
		if s != unix.SIGCHLD {
			_ = unix.Kill(1, s)
		}
	}
	fmt.Println(unix.Kill(-1, unix.SIGKILL))
	return 0
}

// TestKillOfEverybodyStaysOnItsHost: SIGKILL to -1, also by root, hits the
// processes of its host and nobody else.
func TestKillOfEverybodyStaysOnItsHost(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	victim := startReady(t, a, Program("stubborn"))
	sentinel := startReady(t, b, Program("stubborn"))
	sentinel.Command.StopSignal = syscall.SIGINT
	people := a.people
	murderer := a.MustStart(Program("murderous"))
	exit, err := victim.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGKILL, exit.Signal)
	_, err = murderer.Wait(t.Context())
	require.NoError(t, err)
	assert.True(t, sentinel.Running())
	// Its host lives on, too, with the same init.
	assert.Same(t, people, a.people)
	again := a.MustStart(Program("hello"))
	exit, err = again.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, exit.Code)
}

// breeding forks its argument's number of sleeping children, or as many as it can.
func breeding(args []string) int {
	wanted, err := strconv.Atoi(args[1])
	if err != nil {
		return 2
	}
	n, errno := 0, syscall.Errno(0)
	for ; n < wanted && errno == 0; n++ {
		var pid uintptr
		pid, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		for pid == 0 && errno == 0 {
			syscall.RawSyscall(syscall.SYS_PPOLL, 0, 0, 0)
		}
	}
	fmt.Println("children", n, errno)
	for {
		syscall.RawSyscall(syscall.SYS_PPOLL, 0, 0, 0) // there may be no room for another thread
	}
}

// TestCrowdIsEnded: a host on which somebody forks without end loses all its
// processes at one instant, and others do not notice.
func TestCrowdIsEnded(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "sh", "sleep")
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	sentinel := startReady(t, b, Program("stubborn"))
	sentinel.Command.StopSignal = syscall.SIGINT
	few := a.MustStart(Program("breeding", "100"))
	_, err := few.Stdout.AwaitLine(t.Context(), "its count", func(l string) bool { return strings.HasPrefix(l, "children 100") })
	require.NoError(t, err)
	bomb := a.MustStart(Exec("sh", "-c", "bomb() { bomb | bomb & }; bomb; wait; exec sleep 1000"))
	for _, p := range []*Process{few, bomb} {
		_, err := p.Wait(t.Context())
		require.NoError(t, err)
	}
	_, err = a.AwaitProcesses(t.Context(), "nobody", func(l ProcessInfos) bool { return len(l) == 0 })
	require.NoError(t, err)
	assert.Contains(t, lab.Journal.Tail(10), "more than the 1000, or 3000, that a host may have: all are ended")
	assert.True(t, sentinel.Running())
	assert.True(t, a.Overcrowded())
	assert.False(t, b.Overcrowded())
	again := a.MustStart(Program("hello"))
	_, err = again.Wait(t.Context())
	require.NoError(t, err)
}

// TestHostLimitsItsNumbers: the kernel has none left at some point, guard or not.
func TestHostLimitsItsNumbers(t *testing.T) {
	t.Parallel()
	NeedPrograms(t, "cat")
	if !population.LimitsNumbers() {
		t.Skip("this kernel has no limit for a PID namespace: Linux 6.14 has")
	}
	host := New(t).NewHost("h")
	p := host.MustStart(Exec("cat", "/proc/sys/kernel/pid_max"))
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	assert.Equal(t, []string{strconv.Itoa(population.MaxNumber)}, p.Stdout.Lines())
	ours, err := os.ReadFile("/proc/sys/kernel/pid_max")
	require.NoError(t, err)
	assert.NotEqual(t, strconv.Itoa(population.MaxNumber), strings.TrimSpace(string(ours)), "the limit of other processes stays")
}

// TestKillAll ends a family that ignores SIGTERM, and the next begins anew.
func TestKillAll(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	first := startReady(t, host, Program("orphaning"))
	require.NoError(t, host.KillAll())
	_, err := first.Wait(t.Context())
	require.NoError(t, err)
	left, err := host.Processes()
	require.NoError(t, err)
	assert.Empty(t, left)
	second := startReady(t, host, Program("stubborn"))
	info, err := second.Info()
	require.NoError(t, err)
	number, err := host.PIDOf(info)
	require.NoError(t, err)
	assert.Less(t, number, 20)
	require.NoError(t, second.Kill(t.Context()))
}

// TestChildThatDiesWithItsParentLives: for the kernel a parent is a thread, and the
// one that starts processes must not end before them.
func TestChildThatDiesWithItsParentLives(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	for range 5 {
		p := host.MustStart(Program("attached"))
		_, err := p.Stdout.AwaitLine(t.Context(), "ready", func(l string) bool { return l == "ready" })
		require.NoError(t, err)
		other := host.MustStart(Program("hello"))
		_, err = other.Wait(t.Context())
		require.NoError(t, err)
		assert.True(t, p.Running())
		require.NoError(t, p.Kill(t.Context()))
	}
}

// attached asks to be killed when its parent ends.
func attached([]string) int {
	if unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0) != nil {
		return 1
	}
	fmt.Println("ready")
	return stay()
}
