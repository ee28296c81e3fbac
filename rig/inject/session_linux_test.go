// SPDX-License-Identifier: Apache-2.0

package inject_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"forkrig/rig"
	"forkrig/rig/inject"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const priority inject.Call = "getpriority"

// asker is a subject that makes calls when it is told to.
type asker struct {
	*inject.Session
	t     *testing.T
	lab   *rig.Lab
	lines int
}

func start(t testing.TB, host *rig.Host, c rig.Command, calls ...inject.Call) *inject.Session {
	t.Helper()
	s, err := inject.Start(t.Context(), host, c, calls...)
	rig.SkipIfMissing(t, err)
	return s
}

func startAsker(t *testing.T, calls ...inject.Call) *asker {
	t.Helper()
	c := rig.Program("asking")
	c.Stdin = true
	lab := rig.New(t)
	a := &asker{Session: start(t, lab.NewHost("h"), c, calls...), t: t, lab: lab}
	a.next()
	return a
}

// next returns the next line of its output.
func (a *asker) next() string {
	a.t.Helper()
	a.lines++
	require.NoError(a.t, rig.Await(a.t.Context(), "an answer", func() (bool, string, error) {
		return a.Process.Stdout.Total() >= a.lines, "", nil
	}))
	return a.Process.Stdout.Lines()[a.lines-1]
}

func (a *asker) ask(format string, args ...any) string {
	a.t.Helper()
	_, err := fmt.Fprintf(a.Process.Stdin, format+"\n", args...)
	require.NoError(a.t, err)
	return a.next()
}

func (a *asker) set(rules ...inject.Rule) {
	a.t.Helper()
	require.NoError(a.t, a.Set(rules...))
}

func TestRulesChooseCalls(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	assert.Equal(t, "....", a.ask("self 4"), "without rules")
	for want, rule := range map[string]inject.Rule{
		"..[EINTR]...":                               {Nth: 3},
		".[EINTR].[EINTR].[EINTR]":                   {Every: 2},
		"[EINTR][EINTR]....":                         {Times: 2},
		"..[EINTR]..[EINTR]":                         {Every: 3, Calls: []inject.Call{priority}},
		".[EINTR].[EINTR]..":                         {Every: 2, Times: 2},
		"[EINTR][EINTR][EINTR][EINTR][EINTR][EINTR]": {Probability: 1},
		"......": {In: inject.Listener},
	} {
		rule.Errno = syscall.EINTR
		a.set(rule)
		assert.Equal(t, want, a.ask("self 6"), rule.String())
		hits := a.Hits()
		assert.Len(t, hits, strings.Count(want, "E"), rule.String())
		for _, h := range hits {
			assert.Equal(t, syscall.EINTR, h.Errno)
			assert.Equal(t, a.Process.PID, h.PID)
			assert.Equal(t, inject.Workers, h.In)
		}
	}
	a.set(inject.Rule{Nth: 1, Errno: syscall.EMFILE}, inject.Rule{Errno: syscall.ENOMEM, Times: 2})
	assert.Equal(t, "[EMFILE][ENOMEM][ENOMEM].", a.ask("self 4"), "the first rule that hits")
	a.Clear()
	assert.Equal(t, "..", a.ask("self 2"))
	assert.Len(t, a.Hits(), 3, "the hits stay")
	assert.Equal(t, 4+7*6+4+2, a.Seen()[priority].Workers)
	require.NoError(t, a.Process.Stdin.(io.Closer).Close())
	<-a.Ended()
}

// TestSignalsAreNoCalls: the Go runtime preempts goroutines by SIGURG, which interrupts the
// look at a subject that makes no call at all.
func TestSignalsAreNoCalls(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, tid := os.Getpid(), syscall.Gettid()
	ctx, cancel := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	defer storm.Wait()
	defer cancel()
	storm.Go(func() {
		for ctx.Err() == nil {
			assert.NoError(t, syscall.Tgkill(pid, tid, syscall.SIGURG))
		}
	})
	for range 10_000 {
		waits, _ := a.Unanswered()
		require.False(t, waits)
	}
}

// TestProbabilityIsReproducible draws the same calls from the same seed.
func TestProbabilityIsReproducible(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	draw := func(seed uint64) string {
		a.set(inject.Rule{Probability: 0.3, Seed: seed, Errno: syscall.EINTR})
		return a.ask("self 1000")
	}
	first := draw(1)
	assert.Equal(t, first, draw(1))
	assert.NotEqual(t, first, draw(2))
	assert.InDelta(t, 300, strings.Count(first, "E"), 60, "four standard deviations")
}

// TestRolesOfProcessesAndThreads counts calls of a process before and after it
// listens, of another thread of it and of its child.
func TestRolesOfProcessesAndThreads(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	a.set(inject.Rule{In: inject.Workers, Nth: 2, Errno: syscall.EINTR})
	assert.Equal(t, ".[EINTR]", a.ask("thread 2"), "it has not listened yet")
	assert.Equal(t, "listening <nil> <nil>", a.ask("listen"))

	a.set(inject.Rule{In: inject.Workers, Nth: 2, Errno: syscall.EINTR}, inject.Rule{In: inject.Listener, Nth: 3, Errno: syscall.EMFILE})
	assert.Equal(t, "..", a.ask("self 2"))
	assert.Equal(t, "[EMFILE].", a.ask("thread 2"))
	assert.Equal(t, ".[EINTR].", a.ask("child 3"))
	assert.Equal(t, "..", a.ask("child 2"), "counted over all workers")
	hits := a.Hits()
	require.Len(t, hits, 2)
	assert.Equal(t, a.Process.PID, hits[0].PID, "the process, not the thread")
	assert.Equal(t, []any{inject.Listener, 1, 3, priority}, []any{hits[0].In, hits[0].Rule, hits[0].Nth, hits[0].Call})
	assert.Equal(t, []any{inject.Workers, 0, 2}, []any{hits[1].In, hits[1].Rule, hits[1].Nth})
	assert.NotEqual(t, a.Process.PID, hits[1].PID)
	assert.Contains(t, hits[1].String(), "failed with errno 4 (interrupted system call)")
	seen := a.Seen()
	assert.Equal(t, inject.Count{Listener: 4, Workers: 7}, seen[priority])
	assert.Equal(t, inject.Count{Listener: 1}, seen["listen"])
}

// TestWaitingLeavesOutCallsThatNeverWait tells apart calls of the same names.
func TestWaitingLeavesOutCallsThatNeverWait(t *testing.T) {
	t.Parallel()
	a := startAsker(t, "wait4", "ppoll", "recvfrom", priority)
	a.set(inject.Rule{Errno: syscall.EINTR, Waiting: true})
	assert.Equal(t, "[EINTR][EINTR][EINTR].", a.ask("waiting"), "a child, time, data, data without waiting")
	assert.Equal(t, "[ECHILD]...", a.ask("nonblocking"))
	assert.Equal(t, "..", a.ask("self 2"), "it never waits")
	a.set(inject.Rule{Errno: syscall.EINTR})
	assert.Equal(t, "[EINTR][EINTR][EINTR][EINTR]", a.ask("nonblocking"))
}

// needsKillableWaits skips a test where a signal that comes while a call waits for its answer ends the
// call. A kernel that knows the flag looks for the filter then, which is not there (seccomp(2)).
func needsKillableWaits(t *testing.T) {
	t.Helper()
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0)
	if errno != unix.EFAULT {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: "seccomp-wait-killable", Err: errno,
			Remedy: "use Linux 5.19 or later: before, a signal that comes while a call is answered may have it count twice, or fail with EINTR"})
	}
}

// TestStormDoesNotDisturbTheCounts sends signals at a process whose calls are
// trapped all the time. A call that is interrupted before the rig has read it is
// made again by the kernel, because the handler has SA_RESTART, and counts once.
func TestStormDoesNotDisturbTheCounts(t *testing.T) {
	t.Parallel()
	needsKillableWaits(t)
	a := startAsker(t, priority)
	storm, err := a.lab.StartStorm(rig.Storm{Signals: []syscall.Signal{syscall.SIGUSR2},
		Targets: []rig.Target{a.Process.Itself()}, RatePerSecond: 20_000})
	require.NoError(t, err)
	const n, nth = 4000, 3000 // a line of output has 4096 bytes at the most
	a.set(inject.Rule{Nth: nth, Errno: syscall.ENOMEM})
	before, after, failed := strings.Cut(a.ask("self %d", n), "[ENOMEM]")
	assert.True(t, failed)
	assert.Equal(t, []int{nth - 1, n - nth}, []int{len(before), len(after)}, "%s", strings.Trim(before+after, "."))
	assert.Equal(t, n, a.Seen()[priority].Workers)
	result, err := storm.Stop()
	require.NoError(t, err)
	assert.Positive(t, result.Sent)
}

func TestRulesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	eintr := syscall.EINTR
	for want, rule := range map[string]inject.Rule{
		"read is not trapped":      {Calls: []inject.Call{"read"}, Errno: eintr},
		"has no effect":            {Nth: 1},
		"in two ways":              {Nth: 1, Every: 2, Errno: eintr},
		"count from 1":             {Nth: -1, Errno: eintr},
		"from 0 to 1":              {Probability: 1.5, Errno: eintr},
		"errno 512 does not exist": {Errno: 512},
		"signal 65 does not exist": {Signal: 65},
		"place 7 does not exist":   {In: 7, Errno: eintr},
	} {
		err := a.Set(rule)
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, "..", a.ask("self 2"))
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	host := rig.New(t).NewHost("h")
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("hello\n"), 0o755))
	for name, test := range map[string]struct {
		command rig.Command
		calls   []inject.Call
		want    string
	}{
		"unknown call":   {rig.Exec("true"), []inject.Call{"acept"}, "trap acept: no system call has this name"},
		"fork":           {rig.Exec("true"), []inject.Call{"read", "fork"}, "trap fork: a signal that arrives before"},
		"exit":           {rig.Exec("true"), []inject.Call{"exit_group"}, "trap exit_group: it does not return"},
		"no command":     {rig.Command{}, nil, "the command is empty: give a program"},
		"not there":      {rig.Exec("no-such-program"), nil, "start no-such-program: exec: \"no-such-program\": executable file not found in $PATH: install the program"},
		"path":           {rig.Exec("/no/such/program"), nil, "start program on h: execve /no/such/program: no such file or directory: install the program (or the interpreter that it names) or give its path"},
		"interpreter":    {rig.Exec(script), nil, "install the program (or the interpreter that it names)"},
		"no program":     {rig.Exec(text), nil, "the file is not a program"},
		"directory":      {rig.Exec("/proc"), nil, "make the program executable for this user"},
		"helper program": {rig.Program("helo"), nil, `no program called "helo" was given to rig.Main, only [`},
		"environment":    {rig.Command{Args: []string{"true"}, Env: []string{"NOVALUE"}}, nil, "write NAME=value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inject.Start(t.Context(), host, test.command, test.calls...)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

// TestSubjectIsAsWithoutTheFilter compares what a subject finds with and without
// the shim: descriptors, signals, limits, privileges, arguments, environment,
// working directory, name and network namespace.
func TestSubjectIsAsWithoutTheFilter(t *testing.T) {
	t.Parallel()
	signal.Ignore(syscall.SIGWINCH) // which the rig's children inherit
	rig.NeedPrograms(t, "sh", "ls", "cat", "tr", "env", "sort", "readlink", "grep")
	host := rig.New(t).NewHost("h")
	show := "ls /proc/$$/fd; cat /proc/$$/limits; tr '\\0' '\\n' </proc/$$/cmdline; pwd; env | sort; readlink /proc/$$/ns/net; " +
		"exec grep -E '^(Name|Sig[PBIC]|Shd|Cap|NoNew|[UG]id|Groups|Umask)' /proc/self/status"
	for name, c := range map[string]rig.Command{
		"program of the machine": rig.Exec("sh", "-c", show, "argument zero", "", "two words"),
		"helper program":         rig.Program("showing", "a", "b c"),
		"another user":           {Args: []string{"sh", "-c", show}, User: "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.Args[0] == "sh" {
				needsKillableWaits(t) // SIGCHLD ends a close, and then sort waits for the pipe's other end
			}
			c.Env = []string{"GREETING=hi"}
			c.Dir = "/"
			bare, err := host.Start(c)
			rig.SkipIfMissing(t, err)
			plain := outputOf(t, bare)
			s := start(t, host, c, "read", "write", "openat", "sendmsg", "recvmsg", "close", "prlimit64",
				"rt_sigprocmask", "futex", "mmap", "fcntl", "connect", "socket", "getpid", "dup3", "prctl")
			if c.User != "" {
				assert.Contains(t, plain, "NoNewPrivs:\t1")
			}
			assert.NotContains(t, plain, "FORKRIG_SANDBOX")
			assert.Equal(t, plain, outputOf(t, s.Process))
			if c.Args[0] == "sh" { // the Go runtime does not keep it
				// Bit 27, beside what the test's own parent ignores, such as make.
				assert.Regexp(t, `SigIgn:\t[0-9a-f]{9}[89a-f][0-9a-f]{6}`, plain, "SIGWINCH")
			}
			assert.Equal(t, c.Args, s.Process.Command.Args)
			<-s.Ended()
		})
	}
}

func outputOf(t *testing.T, p *rig.Process) string {
	t.Helper()
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	return strings.Join(append(p.Stdout.Lines(), p.Stderr.Lines()...), "\n")
}

// TestSignalInterruptsACallThatBlocks sends signals at the very moment of an
// accept: a handler without SA_RESTART makes it fail, one with SA_RESTART makes
// the kernel start it again, which counts again.
func TestSignalInterruptsACallThatBlocks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal   syscall.Signal
		errno    syscall.Errno
		accepts  int // that are made until the second conversation
		observed []string
	}{
		"without SA_RESTART": {syscall.SIGUSR1, 0, 3, []string{"accept4 EINTR"}},
		"with SA_RESTART":    {syscall.SIGUSR2, 0, 3, nil},
		"with an errno":      {syscall.SIGUSR2, syscall.ENOMEM, 3, []string{"accept4 ENOMEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := startServer(t, "alone")
			first := server.connect(t)
			require.NoError(t, s.Set(inject.Rule{Calls: []inject.Call{"accept4"}, Nth: 1, Signal: test.signal, Errno: test.errno}))
			first.end(t) // and the next accept is the first that counts
			require.NoError(t, rig.Await(t.Context(), "the accepts", func() (bool, string, error) {
				n := s.Seen()["accept4"].Listener
				return n == test.accepts, fmt.Sprint(n), nil
			}))
			server.connect(t).end(t)
			hits := s.Hits()
			require.Len(t, hits, 1)
			assert.Equal(t, test.signal, hits[0].Signal)
			assert.Equal(t, test.errno, hits[0].Errno)
			require.NoError(t, s.Process.Kill(t.Context()))
			require.NoError(t, s.Process.Stdout.AwaitEnd(t.Context()))
			assert.Equal(t, test.observed, s.Process.Stdout.Lines())
		})
	}
}

// TestListenerAndItsWorkers interrupts accepts in the listener and reads in the
// workers, which are processes of their own.
func TestListenerAndItsWorkers(t *testing.T) {
	t.Parallel()
	s, server := startServer(t, "workers")
	require.NoError(t, s.Set(
		inject.Rule{Calls: []inject.Call{"accept4"}, In: inject.Listener, Every: 2, Errno: syscall.EINTR},
		inject.Rule{Calls: []inject.Call{"read"}, In: inject.Workers, Every: 2, Waiting: true, Errno: syscall.EINTR},
	))
	for range 6 {
		server.connect(t).end(t)
	}
	in := map[inject.Where]int{}
	for _, h := range s.Hits() {
		in[h.In]++
		assert.Equal(t, h.In == inject.Listener, h.PID == s.Process.PID)
	}
	assert.GreaterOrEqual(t, in[inject.Listener], 4)
	assert.GreaterOrEqual(t, in[inject.Workers], 6)
}

// TestHandlers reads the flags of handlers, of both roles.
func TestHandlers(t *testing.T) {
	t.Parallel()
	s, server := startServer(t, "workers")
	conn := server.connect(t)
	flags := map[string]bool{}
	for _, h := range s.Handlers() {
		flags[fmt.Sprintf("%v %d %v", h.In, int(h.Signal), h.Restarts())] = true
		assert.False(t, h.NoZombies())
	}
	conn.end(t)
	assert.Subset(t, flags, map[string]bool{"listener 10 false": true, "listener 12 true": true, "workers 10 false": true})
	assert.NotContains(t, flags, "listener 10 true")
	for signal, want := range map[syscall.Signal]bool{syscall.SIGUSR1: false, syscall.SIGUSR2: true} {
		restarts, known := s.Restarts(s.Process.PID, signal)
		assert.True(t, known, "%v", signal)
		assert.Equal(t, want, restarts, "%v", signal)
	}
}

// TestDynamicPrograms traps calls of programs with a dynamic linker, and of one
// with an interpreter.
func TestDynamicPrograms(t *testing.T) {
	t.Parallel()
	host := rig.New(t).NewHost("h")
	for _, c := range []rig.Command{
		{Args: []string{"cat"}, Stdin: true},
		{Args: []string{"python3", "-c", "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"}, Stdin: true},
	} {
		t.Run(c.Args[0], func(t *testing.T) {
			rig.NeedPrograms(t, c.Args[0])
			s := start(t, host, c, "read", "write")
			_, err := fmt.Fprintln(s.Process.Stdin, "one")
			require.NoError(t, err)
			_, err = s.Process.Stdout.AwaitLine(t.Context(), "the line", func(line string) bool { return line == "one" })
			require.NoError(t, err)
			require.NoError(t, s.Set(inject.Rule{Calls: []inject.Call{"write"}, Nth: 1, Errno: syscall.ENOSPC}))
			_, err = fmt.Fprintln(s.Process.Stdin, "two")
			require.NoError(t, err)
			_, err = s.Process.Stderr.AwaitLine(t.Context(), "the error", func(line string) bool { return strings.Contains(line, "No space left") })
			require.NoError(t, err)
			assert.NotEmpty(t, s.Hits())
			require.NoError(t, s.Process.Kill(t.Context()))
			<-s.Ended()
		})
	}
}

// TestKillInTheMiddle kills subjects whose calls are answered all the time. The
// session ends when the children have ended, too.
func TestKillInTheMiddle(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	for range 10 {
		s, err := a.Again(t.Context())
		require.NoError(t, err)
		_, err = fmt.Fprintln(s.Process.Stdin, "child 1000000000")
		require.NoError(t, err)
		require.NoError(t, s.Set(inject.Rule{Every: 3, Errno: syscall.EINTR}))
		hitsAgain := func() {
			require.NoError(t, s.Set(inject.Rule{Every: 3, Errno: syscall.EINTR}))
			require.NoError(t, rig.Await(t.Context(), "hits", func() (bool, string, error) { return len(s.Hits()) > 20, "", nil }))
		}
		hitsAgain()
		pid := s.Hits()[0].PID
		require.NoError(t, s.Process.Kill(t.Context()))
		hitsAgain() // in the child
		select {
		case <-s.Ended():
			t.Fatal("it ended before the child")
		default:
		}
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		<-s.Ended()
	}
}

// TestRuleThatKills ends the subject at a chosen call.
func TestRuleThatKills(t *testing.T) {
	t.Parallel()
	a := startAsker(t, priority)
	a.set(inject.Rule{Nth: 3, Signal: syscall.SIGKILL})
	_, err := fmt.Fprintln(a.Process.Stdin, "self 5")
	require.NoError(t, err)
	exit, err := a.Process.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGKILL, exit.Signal)
	<-a.Ended()
	require.Len(t, a.Hits(), 1)
	assert.Equal(t, 3, a.Hits()[0].Nth)
	a.Clear()
	require.NoError(t, a.Set(inject.Rule{Errno: syscall.EINTR}), "after the end it means nothing, and is no error")
}

// TestNothingLeaks compares goroutines and descriptors before and after. It is
// not parallel.
func TestNothingLeaks(t *testing.T) {
	rig.NeedPrograms(t, "sh")
	host := rig.New(t).NewHost("h")
	count := func() (fds, goroutines int) {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries), runtime.NumGoroutine()
	}
	run := func() {
		s := start(t, host, rig.Exec("sh", "-c", "true"), "read")
		_, err := s.Process.Wait(t.Context())
		require.NoError(t, err)
		<-s.Ended()
		_, err = inject.Start(t.Context(), host, rig.Exec("/no/such/program"), "read")
		require.Error(t, err)
	}
	run()
	fds, goroutines := 0, 0
	settle := func(most, mostGoroutines int) {
		require.NoError(t, rig.Await(t.Context(), "everything closed", func() (bool, string, error) {
			fds, goroutines = count()
			return fds <= most && goroutines <= mostGoroutines, fmt.Sprintf("%d descriptors, %d goroutines", fds, goroutines), nil
		}))
	}
	settle(1000, 1000)
	most, mostGoroutines := fds, goroutines
	for range 10 {
		run()
	}
	settle(most, mostGoroutines)
	entries, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	for _, e := range entries {
		assert.NotContains(t, e.Name(), "inject")
	}
}

func TestShimNeedsTheRig(t *testing.T) {
	t.Parallel()
	p := rig.New(t).NewHost("h").MustStart(rig.Program("inject"))
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, exit.Code)
}

// TestCancelledStart gives up at once and leaves no process.
func TestCancelledStart(t *testing.T) {
	t.Parallel()
	rig.NeedPrograms(t, "cat")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := inject.Start(ctx, rig.New(t).NewHost("h"), rig.Exec("cat"), "read")
	assert.ErrorIs(t, err, context.Canceled)
}
