// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig/observe"
)

// startReady starts a helper program and waits until it says that it is ready.
func startReady(tb testing.TB, h *Host, c Command) *Process {
	tb.Helper()
	p := h.MustStart(c)
	_, err := p.Stdout.AwaitLine(tb.Context(), "ready", func(line string) bool { return line == "ready" })
	require.NoError(tb, err)
	return p
}

func TestProcessOutputAndExitStatus(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	c := Program("hello", "a", "b c")
	c.Env = []string{"GREETING=hi"}
	p := host.MustStart(c)
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, exit.Code)
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	require.NoError(t, p.Stderr.AwaitEnd(t.Context()))
	assert.Equal(t, []string{"hello [a b c] hi"}, p.Stdout.Lines())
	assert.Equal(t, []string{"uid 0"}, p.Stderr.Lines())
	assert.Equal(t, "hello a 'b c'", c.String())
	assert.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
	_, err = p.Info()
	assert.ErrorIs(t, err, os.ErrNotExist)

	again, err := p.Restart()
	require.NoError(t, err)
	assert.NotEqual(t, p.PID, again.PID)
	require.NoError(t, again.Stdout.AwaitEnd(t.Context()))
	assert.Equal(t, p.Stdout.Lines(), again.Stdout.Lines())
	_, err = again.Wait(t.Context())
	require.NoError(t, err)
}

func TestProcessRunsInItsHost(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	on := startReady(t, a, Program("stubborn"))
	on.Command.StopSignal = syscall.SIGINT
	there, err := a.Processes()
	require.NoError(t, err)
	require.Len(t, there, 1)
	assert.Equal(t, on.PID, there[0].PID)
	elsewhere, err := b.Processes()
	require.NoError(t, err)
	assert.Empty(t, elsewhere)
	info, err := on.Info()
	require.NoError(t, err)
	assert.Less(t, info.Age, time.Minute)
	assert.GreaterOrEqual(t, info.Age, time.Duration(0))
}

// TestProcessHasNoForeignDescriptor hands a sandbox a descriptor and looks for
// it in a process there.
func TestProcessHasNoForeignDescriptor(t *testing.T) {
	t.Parallel()
	foreign, err := os.Open("/dev/zero")
	require.NoError(t, err)
	defer foreign.Close()
	cmd := victim("inherits")
	cmd.ExtraFiles = []*os.File{foreign, foreign}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	assert.Contains(t, string(output), "0→pipe:")
	assert.NotContains(t, string(output), "/dev/zero")
}

func TestProcessRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	c := Program("hello")
	c.User = "nobody"
	p := host.MustStart(c) // skips where the sandbox has one user
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	line, err := p.Stderr.AwaitLine(t.Context(), "its user", func(l string) bool { return strings.HasPrefix(l, "uid ") })
	require.NoError(t, err)
	assert.Equal(t, "uid 65534", line)
}

func TestStopKillsAfterTheGraceAndSaysSo(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	c := Program("stubborn")
	c.Grace = 50 * time.Millisecond
	p := startReady(t, host, c)
	exit, err := p.Stop(t.Context())
	assert.ErrorContains(t, err, "outlived terminated by its grace of 50ms and was killed")
	assert.Equal(t, syscall.SIGKILL, exit.Signal)
}

// TestCauseIsBeforeItsEffect: the journal is told afterwards what was sent and started, and has the time from before.
func TestCauseIsBeforeItsEffect(t *testing.T) {
	t.Parallel()
	lab := New(t)
	host := lab.NewHost("h")
	after := lab.Journal.at(time.Now())
	began := func(kind EventKind) time.Duration {
		t.Helper()
		events := lab.Journal.Events()
		at := slices.IndexFunc(events, func(e Event) bool { return e.Kind == kind && e.Began > after })
		require.GreaterOrEqual(t, at, 0, "%s", lab.Journal.Tail(20))
		assert.LessOrEqual(t, events[at].Began, events[at].At)
		after = events[at].Began
		return after
	}
	for name, end := range map[string]func(*Process) error{
		"signal": func(p *Process) error { return p.Signal(syscall.SIGKILL) },
		"target": func(p *Process) error { _, err := lab.SignalAll(syscall.SIGKILL, p.Itself()); return err },
		"kill":   func(p *Process) error { return p.Kill(t.Context()) },
	} {
		c := Program("counting")
		c.Stdin = true // it ends when that is closed
		p := startReady(t, host, c)
		began(EventStart)
		require.NoError(t, end(p), name)
		_, err := p.Wait(t.Context())
		require.NoError(t, err)
		signalled := began(EventSignal)
		events := lab.Journal.Events()
		exit := slices.IndexFunc(events, func(e Event) bool { return e.Kind == EventExit && e.PID == p.PID })
		assert.Less(t, signalled, events[exit].At, name)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	c := Program("counting")
	c.Stdin = true
	p := startReady(t, host, c)
	require.NoError(t, p.Freeze(t.Context()))
	require.NoError(t, p.Stdin.Close())
	info, err := p.Info()
	require.NoError(t, err)
	assert.Equal(t, Stopped, info.State)
	assert.True(t, p.Running())
	require.NoError(t, p.Thaw())
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.True(t, exit.Success(), exit.String())
}

func TestAwaitListenBelievesTheKernel(t *testing.T) {
	t.Parallel()
	lab := New(t)
	server, clients := lab.NewStar("server", "client", 1)
	target := netip.AddrPortFrom(server.MustAddr(IPv4), 7000)
	first := server.MustStart(Program("listening", target.String()))
	socket, err := server.AwaitListen(t.Context(), first, 7000)
	require.NoError(t, err)
	assert.Equal(t, target, socket.Local)
	fds, err := first.FDs()
	require.NoError(t, err)
	assert.True(t, fds.Socket(socket.Inode), fds.String())

	// A second instance never listens, whoever else does.
	second := server.MustStart(Program("listening", target.String()))
	_, err = server.AwaitListen(t.Context(), second, 7000)
	assert.ErrorContains(t, err, "ended (exit status 1) without listening")
	assert.ErrorContains(t, err, "address already in use")

	conn, err := clients[0].Dial(t.Context(), target)
	require.NoError(t, err)
	defer conn.Close()
	sockets, err := clients[0].AwaitSockets(t.Context(), "a connection", func(s Sockets) bool {
		return len(s.In(Established)) == 1
	})
	require.NoError(t, err)
	assert.Equal(t, target, sockets[0].Remote)
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	const written = 20000
	p := host.MustStart(Program("chatty", fmt.Sprint(written)))
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	lines := p.Stdout.Lines()
	assert.Equal(t, written, p.Stdout.Total())
	assert.Len(t, lines, outputHead+outputTail)
	assert.Equal(t, "line 0", lines[0])
	assert.Equal(t, fmt.Sprint("line ", written-1), lines[len(lines)-1])
	assert.Equal(t, fmt.Sprint("line ", written-outputTail), lines[outputHead])
}

func TestLastingZombiesAreToldFromMomentaryOnes(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	p := startReady(t, host, Program("lazy"))
	_, err := p.AwaitDescendants(t.Context(), "a zombie", func(l ProcessInfos) bool { return len(l.Zombies()) == 1 })
	require.NoError(t, err)
	zombies, err := p.AwaitReaped(t.Context())
	require.NoError(t, err)
	require.Len(t, zombies, 1)
	assert.GreaterOrEqual(t, zombies[0].ZombieFor, Settling/2)

	require.NoError(t, p.Signal(syscall.SIGUSR1))
	_, err = p.AwaitDescendants(t.Context(), "no zombie", func(l ProcessInfos) bool { return len(l.Zombies()) == 0 })
	require.NoError(t, err)
	zombies, err = p.AwaitReaped(t.Context())
	require.NoError(t, err)
	assert.Empty(t, zombies)
}

func TestKillTogether(t *testing.T) {
	t.Parallel()
	lab := New(t)
	var targets []Target
	var processes []*Process
	for i := range 4 {
		p := startReady(t, lab.NewHost(fmt.Sprint("h", i)), Program("orphaning"))
		processes = append(processes, p)
		targets = append(targets, p.Family())
	}
	killed, span, err := lab.KillTogether(t.Context(), targets...)
	require.NoError(t, err)
	assert.Equal(t, 8, killed, "four parents and their children")
	assert.Less(t, span, time.Second)
	for _, p := range processes {
		exit, err := p.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, syscall.SIGKILL, exit.Signal)
	}
}

// TestKillTogetherLeavesNobodyTimeToReplace: a parent that starts another child for each that is
// killed is dead before.
func TestKillTogetherLeavesNobodyTimeToReplace(t *testing.T) {
	t.Parallel()
	lab := New(t)
	for i := range 10 {
		host := lab.NewHost(fmt.Sprint("h", i))
		p := startReady(t, host, Program("replacing"))
		_, err := p.AwaitDescendants(t.Context(), "eight children", func(l ProcessInfos) bool {
			return len(l.Where(func(i ProcessInfo) bool { return i.Name == "sleep" })) == 8
		})
		require.NoError(t, err)
		killed, _, err := lab.KillTogether(t.Context(), p.Family())
		require.NoError(t, err)
		assert.Equal(t, 9, killed)
		left, err := host.Processes()
		require.NoError(t, err)
		assert.Empty(t, left.Alive())
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	for name, test := range map[string]struct {
		command Command
		want    string
	}{
		"no program":   {Command{}, "the command is empty: give a program"},
		"not there":    {Exec("no-such-program"), "or give its path"},
		"not a file":   {Exec("/proc"), "make the program executable for this user"},
		"environment":  {Command{Args: []string{"true"}, Env: []string{"NOVALUE"}}, "write NAME=value"},
		"program":      {Program("helo"), `start helo: no program called "helo" was given to rig.Main, only [`},
		"directory":    {Command{Args: []string{"true"}, Dir: "/nosuch"}, "working directory: stat /nosuch"},
		"stop signal":  {Command{Args: []string{"true"}, StopSignal: 99}, "stop signal 99: give one from 1 to 64"},
		"unknown user": {Command{Args: []string{"true"}, User: "no such user"}, "no such user"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := host.Start(test.command)
			if test.command.User != "" && !manyUsers() {
				var missing *MissingError
				require.ErrorAs(t, err, &missing)
				return
			}
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestSignalsOfALivingProcess(t *testing.T) {
	t.Parallel()
	c := stoppable("ignoring")
	p := startReady(t, New(t).NewHost("h"), c)
	masks, err := p.Signals()
	require.NoError(t, err)
	assert.True(t, masks.Ignored.Has(syscall.SIGUSR1), masks.Ignored.String())
	assert.True(t, masks.Caught.Has(syscall.SIGTERM), "the Go runtime catches it: %v", masks.Caught)
}

// TestProcessWithoutItsFirstThreadLives although the kernel shows it as a zombie.
func TestProcessWithoutItsFirstThreadLives(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	p := startReady(t, host, Program("leaderless"))
	found, err := host.AwaitProcesses(t.Context(), "a process without its first thread", func(l ProcessInfos) bool {
		return len(l) == 1 && l[0].State == LeaderEnded
	})
	require.NoError(t, err)
	assert.Empty(t, found.Zombies())
	assert.True(t, p.Running())
	fds, err := p.FDs()
	require.NoError(t, err)
	assert.NotEmpty(t, fds)
	require.NoError(t, p.Kill(t.Context()))
}

// TestProcessThatIsTraced takes signals and ends like any other, and its host with it, although
// the kernel reports its stops to the rig, which it asked to trace it.
func TestProcessThatIsTraced(t *testing.T) {
	t.Parallel()
	for _, thread := range []string{"first", "other"} {
		for how, end := range map[string]func(*Process) error{
			"killed":               func(p *Process) error { return p.Kill(t.Context()) },
			"killed with its host": func(p *Process) error { return p.Host.KillAll() },
		} {
			t.Run(thread+" "+how, func(t *testing.T) {
				t.Parallel()
				host := New(t).NewHost("h")
				p := startReady(t, host, Program("traced", thread))
				_, err := host.AwaitProcesses(t.Context(), "a traced thread that is stopped", func(ProcessInfos) bool {
					stopped, _, err := observe.ThreadsIn(p.PID, 't')
					return err == nil && stopped == 1
				})
				require.NoError(t, err)
				assert.True(t, p.Running())
				require.NoError(t, p.Signal(syscall.SIGURG), "it is there, whatever was reported")
				require.NoError(t, end(p))
				exit, err := p.Wait(t.Context())
				require.NoError(t, err)
				assert.Equal(t, syscall.SIGKILL, exit.Signal)
			})
		}
	}
}
