// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/fault"
)

func init() { programs["clerk"] = clerk }

// clerk does what each line of its input says and writes the outcome to the
// descriptor that its first argument names: "ok" or the name of an errno.
func clerk(args []string) int {
	answers, _ := strconv.Atoi(args[1])
	_ = syscall.SetNonblock(0, false)
	// The heap has its address space, and a second arena if it needs one, and the runtime's
	// poller its descriptors, before these are limited: the runtime ends where it cannot
	// open them when it first needs them.
	runtime.KeepAlive(make([]byte, 8<<20))
	runtime.GC()
	if r, w, err := os.Pipe(); err == nil { // the first pipe makes the poller
		r.Close()
		w.Close()
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		verb, rest, _ := strings.Cut(orders.Text(), " ")
		err := map[string]func(string) error{
			"say": func(rest string) error { // FD TEXT
				fd, text, _ := strings.Cut(rest, " ")
				number, _ := strconv.Atoi(fd)
				_, err := unix.Write(number, []byte(text+"\n"))
				return err
			},
			"append": func(path string) error {
				fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND, 0o600)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				_, err = unix.Write(fd, make([]byte, os.Getpagesize()))
				return err
			},
			"map": func(string) error {
				b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
				if err == nil {
					err = unix.Munmap(b)
				}
				return err
			},
			"poll": func(string) error {
				fds := []unix.PollFd{{Fd: 0}, {Fd: 1}, {Fd: 2}}
				_, err := unix.Poll(fds, 0)
				return err
			},
			"start": func(string) error {
				pid, err := syscall.ForkExec("/proc/self/exe", []string{"forkrig:nothing"}, &syscall.ProcAttr{})
				if err == nil {
					_, err = syscall.Wait4(pid, nil, 0, nil)
				}
				return err
			},
			// A thread that came about would run on the stack of this one.
			"fail-to-clone-a-thread": func(string) error {
				_, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, unix.CLONE_VM|unix.CLONE_SIGHAND|unix.CLONE_THREAD, 0, 0, 0, 0, 0)
				return errno
			},
		}[verb](rest)
		answer := "ok"
		if err != nil {
			answer = unix.ErrnoName(err.(syscall.Errno))
		}
		if _, err := unix.Write(answers, []byte(verb+": "+answer+"\n")); err != nil {
			return 1
		}
	}
	return 0
}

func init() { programs["nothing"] = func([]string) int { return 0 } }

// clerkOf starts a clerk that answers on one of its standard streams.
func clerkOf(tb testing.TB, host *rig.Host, c rig.Command) *rig.Process {
	tb.Helper()
	c.Stdin = true
	return host.MustStart(c)
}

// order sends an order to the clerk.
func order(t *testing.T, p *rig.Process, text string) {
	t.Helper()
	_, err := p.Stdin.Write([]byte(text + "\n"))
	require.NoError(t, err)
}

// obeys checks the outcome of an order.
func obeys(t *testing.T, p *rig.Process, answers *rig.Output, text, outcome string) {
	t.Helper()
	before := answers.Total()
	order(t, p, text)
	require.NoError(t, rig.Await(t.Context(), "the answer to "+text, func() (bool, string, error) {
		if !p.Running() {
			lines := p.Stderr.Lines()
			return false, "", fmt.Errorf("the clerk has ended: %v", lines[:min(len(lines), 30)])
		}
		return answers.Total() > before, "", nil
	}))
	verb, _, _ := strings.Cut(text, " ")
	assert.Equal(t, verb+": "+outcome, answers.Last(1)[0], text)
}

// TestLimit takes each resource from a running process, and gives it back.
func TestLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resource rig.Resource
		order    string
		errno    string
	}{
		"open files": {rig.OpenFiles, "append %s", "EMFILE"},
		"processes":  {rig.UserProcesses, "start", "EAGAIN"},
		"file size":  {rig.FileSize, "append %s", "EFBIG"},
		"memory":     {rig.Memory, "map", "ENOMEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := rig.New(t)
			command := rig.Program("clerk", "1")
			path := filepath.Join(t.TempDir(), "file")
			if c.resource == rig.UserProcesses && !rig.Rootless() {
				command.User = "65534"
			}
			p := clerkOf(t, lab.NewHost("h"), command)
			what := strings.ReplaceAll(c.order, "%s", path)
			obeys(t, p, p.Stdout, what, "ok")
			soft := uint64(0)
			if c.resource == rig.Memory {
				soft = addressSpace(t, p)
			}
			limit := fault.Limit{Targets: []rig.Target{p.Itself()}, Resource: c.resource, Soft: soft}
			applied, err := fault.Apply(t.Context(), lab, limit)
			require.NoError(t, err)
			obeys(t, p, p.Stdout, what, c.errno)
			require.NoError(t, applied.Heal(t.Context()))
			obeys(t, p, p.Stdout, what, "ok")
			require.NoError(t, p.Stdin.Close())
			_, err = p.Wait(t.Context())
			require.NoError(t, err)
			_, err = fault.Apply(t.Context(), lab, limit)
			require.ErrorIs(t, err, os.ErrProcessDone)
		})
	}
}

// TestNoDescriptors: what needs a new descriptor fails, and what uses those that are
// open goes on.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := clerkOf(t, lab.NewHost("h"), rig.Program("clerk", "1"))
	appending := "append " + filepath.Join(t.TempDir(), "file")
	obeys(t, p, p.Stdout, appending, "ok")
	applied := apply(t, lab, fault.NoDescriptors{Targets: []rig.Target{p.Itself()}})
	obeys(t, p, p.Stdout, appending, "EMFILE")
	obeys(t, p, p.Stdout, "poll", "ok")
	require.NoError(t, applied.Heal(t.Context()))
	obeys(t, p, p.Stdout, appending, "ok")
	limit := apply(t, lab, fault.Limit{Targets: []rig.Target{p.Itself()}, Resource: rig.OpenFiles})
	obeys(t, p, p.Stdout, "poll", "EINVAL") // which is why the limit is not 0 above
	require.NoError(t, limit.Heal(t.Context()))
	require.NoError(t, p.Stdin.Close())
	_, err := p.Wait(t.Context())
	require.NoError(t, err)
	_, err = fault.Apply(t.Context(), lab, fault.NoDescriptors{Targets: []rig.Target{p.Itself()}})
	require.ErrorIs(t, err, os.ErrProcessDone)
}

// addressSpace returns how many bytes of address space the process has.
func addressSpace(t *testing.T, p *rig.Process) uint64 {
	t.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	require.NoError(t, err)
	pages, err := strconv.ParseUint(strings.Fields(string(statm))[0], 10, 64)
	require.NoError(t, err)
	return pages * uint64(os.Getpagesize())
}

// TestFullDisk: nothing more can be written, by path or to a stream, until there
// is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	disk := lab.NewDisk(1 << 20)
	c := rig.Program("clerk", "1")
	c.Dir = disk.Path
	c.StderrTo = filepath.Join(disk.Path, "log")
	p := clerkOf(t, lab.NewHost("h"), c)
	obeys(t, p, p.Stdout, "append file", "ok")
	obeys(t, p, p.Stdout, "say 2 "+strings.Repeat("x", os.Getpagesize()-1), "ok")

	applied, err := fault.Apply(t.Context(), lab, fault.FullDisk{Disk: disk})
	require.NoError(t, err)
	obeys(t, p, p.Stdout, "append file", "ENOSPC")
	obeys(t, p, p.Stdout, "append other", "ENOSPC")
	obeys(t, p, p.Stdout, "say 2 lost", "ENOSPC")
	require.NoError(t, applied.Heal(t.Context()))
	obeys(t, p, p.Stdout, "append file", "ok")
	obeys(t, p, p.Stdout, "say 2 kept", "ok")
	log, err := os.ReadFile(c.StderrTo)
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("x", os.Getpagesize()-1)+"\nkept\n", string(log))

	_, err = fault.Apply(t.Context(), lab, fault.FullDisk{})
	require.ErrorContains(t, err, "there is no disk")
}

// TestDiskIsGoneWithItsLab: also where a process still had it, and it was full.
func TestDiskIsGoneWithItsLab(t *testing.T) {
	t.Parallel()
	var path string
	trial := rig.Try(t, func(tb testing.TB) {
		lab := rig.New(tb)
		disk := lab.NewDisk(1)
		path = disk.Path
		c := rig.Program("clerk", "1")
		c.Dir = path
		clerkOf(tb, lab.NewHost("h"), c)
		_, err := fault.Apply(tb.Context(), lab, fault.FullDisk{Disk: disk})
		require.NoError(tb, err)
	})
	require.False(t, trial.Failed, trial.Log)
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	assert.NotContains(t, string(mounts), path)
}

// TestDevFull: the cheap way to a full disk.
func TestDevFull(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	c := rig.Program("clerk", "2")
	c.StdoutTo = "/dev/full"
	p := clerkOf(t, lab.NewHost("h"), c)
	obeys(t, p, p.Stderr, "say 1 x", "ENOSPC")
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	_, err := fault.Apply(t.Context(), lab, fault.ClosedOutput{Of: p, Stream: fault.Stdout})
	require.ErrorContains(t, err, "is not open to the rig")
	_, err = fault.Apply(t.Context(), lab, fault.FullOutput{Of: p, Stream: fault.Stdout})
	require.ErrorIs(t, err, rig.ErrEnded)
}

// TestClosedOutput: the next write gives EPIPE, and what came before is kept.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := clerkOf(t, lab.NewHost("h"), rig.Program("clerk", "1"))
	obeys(t, p, p.Stdout, "say 2 before", "ok")
	_, err := p.Stderr.AwaitLine(t.Context(), "what came before", func(l string) bool { return l == "before" })
	require.NoError(t, err)
	applied, err := fault.Apply(t.Context(), lab, fault.ClosedOutput{Of: p, Stream: fault.Stderr})
	require.NoError(t, err)
	obeys(t, p, p.Stdout, "say 2 x", "EPIPE")
	require.NoError(t, applied.Heal(t.Context()))
	obeys(t, p, p.Stdout, "say 2 x", "EPIPE")
	assert.Equal(t, []string{"before"}, p.Stderr.Lines())
	_, err = fault.Apply(t.Context(), lab, fault.ClosedOutput{Of: p}) // stdout is left
	require.NoError(t, err)
	order(t, p, "say 2 x")
	exit, err := p.Wait(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, exit.Code, "it cannot answer any more")
}

// TestFullOutput: a write of one byte blocks, and nothing that was written is lost.
func TestFullOutput(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := clerkOf(t, lab.NewHost("h"), rig.Program("clerk", "1"))
	for round := range 3 {
		before := fmt.Sprintf("before %d", round)
		obeys(t, p, p.Stdout, "say 2 "+before, "ok")
		applied, err := fault.Apply(t.Context(), lab, fault.FullOutput{Of: p, Stream: fault.Stderr})
		require.NoError(t, err)
		total := p.Stdout.Total()
		order(t, p, "say 2 ")
		blocked(t, p)
		assert.Equal(t, total, p.Stdout.Total(), "it waits for room")
		require.NoError(t, applied.Heal(t.Context()))
		require.NoError(t, rig.Await(t.Context(), "the answer", func() (bool, string, error) {
			return p.Stdout.Total() > total, "", nil
		}))
	}
	obeys(t, p, p.Stdout, "say 2 end", "ok")
	_, err := p.Stderr.AwaitLine(t.Context(), "the last line", func(l string) bool { return l == "end" })
	require.NoError(t, err)
	assert.Equal(t, []string{"before 0", "", "before 1", "", "before 2", "", "end"}, p.Stderr.Lines())
	pipe, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/2", p.PID), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer pipe.Close()
	size, err := unix.FcntlInt(pipe.Fd(), unix.F_GETPIPE_SZ, 0)
	require.NoError(t, err)
	assert.Equal(t, 16*os.Getpagesize(), size)
}

// TestFullOutputOfAProcessThatNeverStops: what it wrote comes in order, however
// much is written while the pipe is being filled.
func TestFullOutputOfAProcessThatNeverStops(t *testing.T) {
	t.Parallel()
	lab := rig.New(t)
	p := lab.NewHost("h").MustStart(rig.Program("endless"))
	_, err := p.Stdout.AwaitLine(t.Context(), "a line", func(string) bool { return true })
	require.NoError(t, err)
	for range 20 {
		applied, err := fault.Apply(t.Context(), lab, fault.FullOutput{Of: p, Stream: fault.Stdout})
		require.NoError(t, err)
		blocked(t, p)
		total := p.Stdout.Total()
		require.NoError(t, applied.Heal(t.Context()))
		require.NoError(t, rig.Await(t.Context(), "more lines", func() (bool, string, error) {
			return p.Stdout.Total() > total+100, "", nil
		}))
	}
	require.NoError(t, p.Kill(t.Context()))
	require.NoError(t, p.Stdout.AwaitEnd(t.Context()))
	last := p.Stdout.Last(1000)
	for i, line := range last[:len(last)-1] {
		require.Equal(t, strconv.Itoa(p.Stdout.Total()-len(last)+i), line)
	}
}

func init() {
	programs["endless"] = func([]string) int {
		for i := 0; ; i++ {
			if _, err := unix.Write(1, []byte(strconv.Itoa(i)+"\n")); err != nil {
				return 1
			}
		}
	}
}

// TestFullOutputOfOneThatEnds: a process whose pipe is full ends, and the lab too.
func TestFullOutputOfOneThatEnds(t *testing.T) {
	t.Parallel()
	trial := rig.Try(t, func(tb testing.TB) {
		lab := rig.New(tb)
		p := clerkOf(tb, lab.NewHost("h"), rig.Program("clerk", "1"))
		_, err := fault.Apply(tb.Context(), lab, fault.FullOutput{Of: p})
		require.NoError(tb, err)
		require.NoError(tb, p.Kill(context.Background()))
	})
	assert.False(t, trial.Failed, trial.Log)
}

// blocked waits until the process waits for room in a pipe.
func blocked(t *testing.T, p *rig.Process) {
	t.Helper()
	if _, err := os.Stat("/proc/self/syscall"); err != nil {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: rig.FeatureProcSyscall, Err: err, Remedy: "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK"})
	}
	require.NoError(t, rig.Await(t.Context(), "a write that blocks", func() (bool, string, error) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", p.PID))
		for _, task := range tasks {
			line, err := os.ReadFile(task)
			if err == nil && strings.HasPrefix(string(line), fmt.Sprintf("%d ", unix.SYS_WRITE)) {
				return true, "", nil
			}
		}
		return false, "", err
	}))
}
