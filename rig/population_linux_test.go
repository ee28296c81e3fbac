package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestHostsProcessesSeeThemselvesOnly: numbers of their own, in a /proc of their own.
func TestHostsProcessesSeeThemselvesOnly(t *testing.T) {
	t.Parallel()
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
	host := New(t).NewHost("h")
	p := host.MustStart(Exec("sh", "-c", "sleep 0.05 & sleep 0.05 &"))
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	_, err = host.AwaitProcesses(t.Context(), "nobody", func(l ProcessInfos) bool { return len(l) == 0 })
	require.NoError(t, err)
	people := host.people
	require.NoError(t, Await(t.Context(), "init alone", func() (bool, string, error) {
		n := people.count()
		return n == 1, fmt.Sprint(n, " processes"), nil
	}))
}

// murderous kills everybody whom it may.
func murderous([]string) int {
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
	murderer := a.MustStart(Program("murderous"))
	exit, err := victim.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGKILL, exit.Signal)
	_, err = murderer.Wait(t.Context())
	require.NoError(t, err)
	assert.True(t, sentinel.Running())
	// Its host lives on, too.
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

// TestHostLimitsItsProcesses: one that forks without end meets a limit, and the end
// of the lab ends them all.
func TestHostLimitsItsProcesses(t *testing.T) {
	t.Parallel()
	if !limitsProcesses() {
		t.Skip("this kernel has no limit for a PID namespace; see TestGuardEndsACrowd")
	}
	trial := Try(t, func(tb testing.TB) {
		lab := New(tb)
		a, b := lab.NewHost("a"), lab.NewHost("b")
		p := a.MustStart(Program("breeding", strconv.Itoa(2*maxProcesses)))
		line, err := p.Stdout.AwaitLine(tb.Context(), "its count", func(l string) bool { return strings.HasPrefix(l, "children") })
		require.NoError(tb, err)
		var n int
		_, err = fmt.Sscanf(line, "children %d", &n)
		require.NoError(tb, err)
		assert.InDelta(tb, maxProcesses, n, 400, line)
		assert.Contains(tb, line, unix.EAGAIN.Error())
		// Others have theirs.
		other := b.MustStart(Program("hello"))
		_, err = other.Wait(tb.Context())
		require.NoError(tb, err)
	})
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, "host a: ")
	assert.Contains(t, trial.Log, "processes outlived the stop of what started them")
	assert.NotContains(t, trial.Log, "Error Trace", "the rest was as it should be")
}

// TestGuardEndsACrowd is what happens on kernels without such a limit.
func TestGuardEndsACrowd(t *testing.T) {
	t.Parallel()
	lab := New(t)
	host := lab.NewHost("h")
	people, err := host.populated()
	require.NoError(t, err)
	const most = 50
	go host.guard(people, most)
	few := host.MustStart(Program("breeding", "10"))
	_, err = few.Stdout.AwaitLine(t.Context(), "its count", func(l string) bool { return strings.HasPrefix(l, "children 10") })
	require.NoError(t, err)
	many := host.MustStart(Program("breeding", "100"))
	for _, p := range []*Process{few, many} {
		exit, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, syscall.SIGKILL, exit.Signal)
	}
	assert.Contains(t, lab.Journal.Tail(10), "more than the 50 that a host may have: all are ended")
	again := host.MustStart(Program("hello"))
	_, err = again.Wait(t.Context())
	require.NoError(t, err)
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

// TestSubjectsNumberIsInItsStatus reads the numbers of a process.
func TestSubjectsNumberIsInItsStatus(t *testing.T) {
	t.Parallel()
	for status, wanted := range map[string]int{
		"Name:\tx\nNSpid:\t77\t4\t2\nNSsid:\t1\n": 2,
		"NSpid:\t5\n": 5,
	} {
		pid, err := parseInnermostPID(status)
		require.NoError(t, err)
		assert.Equal(t, wanted, pid)
	}
	for _, status := range []string{"", "NSpid:\n", "NSpid:\tx\n", "Name:\tNSpid:\t3\n"} {
		_, err := parseInnermostPID(status)
		assert.Error(t, err, "%q", status)
	}
}
