// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/internal/pipes"
	"forkrig/rig/internal/population"
	"forkrig/rig/internal/program"
	"forkrig/rig/internal/sandbox"
	"forkrig/rig/observe"
)

// Process is a program that was started on a host. The rig waits for it as soon
// as it ends, so it is never a zombie itself; its children are its own concern.
// Its methods are safe for concurrent use.
type Process struct {
	Name    string
	Host    *Host
	Command Command
	PID     int
	// Stdout and Stderr keep what the process and its children wrote.
	Stdout, Stderr *Output
	// Stdin is the writing end of standard input where Command.Stdin asked for
	// it, and otherwise nil. The process sees the end when it is closed.
	Stdin io.WriteCloser
	stdin *os.File // of Stdin

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process was waited for
	// Valid once ended is closed.
	state   *os.ProcessState
	endedAt time.Time

	successor atomic.Pointer[Process] // that Restart started

	started ProcessInfo // right after the start
}

// Exit is how a process ended.
type Exit struct {
	Code     int            // exit status, or -1 where a signal ended it
	Signal   syscall.Signal // the signal that ended it, or 0
	UserTime time.Duration  // processor time of it and of the children it waited for
	SysTime  time.Duration
}

func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// Success says whether the process ended by itself with status 0.
func (e Exit) Success() bool { return e.Code == 0 && e.Signal == 0 }

// Start starts a process on the host, as leader of a session of its own
// (setsid(2)), with no descriptor of the rig but its standard streams. It does
// not wait until a server listens: see [Host.AwaitListen].
func (h *Host) Start(c Command) (*Process, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("start %s on %s", c.name(), h.Name)
	if err := h.lab.checkOpen(what); err != nil {
		return nil, err
	}
	p := &Process{Name: c.name(), Host: h, Command: c, Stdout: newOutput(), Stderr: newOutput(),
		ended: make(chan struct{})}
	began := time.Now()
	err := p.start()
	if err == nil {
		err = p.awaitItsTime()
	}
	if err != nil {
		h.lab.Journal.Record(h.Name, "%s: %v", what, err)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	there, _ := population.InnermostPID(p.PID) // which its own output may speak of
	p.add(Event{Kind: EventStart, Began: h.lab.Journal.at(began)}, "started, pid %d (there %d): %s", p.PID, there, c)
	h.lab.mu.Lock()
	closed := h.lab.closed
	if !closed {
		h.lab.processes = append(h.lab.processes, p)
	}
	h.lab.mu.Unlock()
	if closed {
		return nil, errors.Join(fmt.Errorf("%s: %w: it ended meanwhile", what, ErrClosed), p.Kill(context.Background()))
	}
	return p, nil
}

// MustStart is [Host.Start] for a test: it skips where the feature is missing
// and fails the test on any other error.
func (h *Host) MustStart(c Command) *Process {
	h.lab.tb.Helper()
	p, err := h.Start(c)
	SkipIfMissing(h.lab.tb, err)
	return p
}

func (p *Process) start() error {
	c, err := p.Command.inItsTime()
	if err != nil {
		return err
	}
	path := c.Args[0]
	if program.Name(path) != "" {
		path = "/proc/self/exe"
	}
	credential, err := credentialOf(c.User)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, c.Args[1:]...)
	cmd.Args[0] = c.Args[0]
	// The launcher's working directory is another one.
	if cmd.Dir, err = filepath.Abs(c.Dir); err != nil {
		return fmt.Errorf("find the working directory: %w", err)
	}
	if credential != nil && len(c.Capabilities) > 0 && cmd.Err == nil {
		cmd.Args = ambientArguments(cmd.Dir, cmd.Path, cmd.Args)
		cmd.Path, cmd.Dir = program.Executable, "/"
	}
	cmd.Env = append(sandbox.WithoutPrivateEnv(os.Environ()), c.Env...)
	cmd.SysProcAttr = processAttributes(credential, c.Capabilities)

	// Pipes of our own instead of cmd's: a worker that outlives the process
	// keeps them open, and waiting for the process must not wait for that.
	var ours, theirs []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	for _, output := range []struct {
		to     string
		stream *io.Writer
	}{{c.StdoutTo, &cmd.Stdout}, {c.StderrTo, &cmd.Stderr}} {
		r, w, err := openOutput(output.to)
		if err != nil {
			closeAll(append(ours, theirs...))
			return err
		}
		*output.stream = w
		ours, theirs = append(ours, r), append(theirs, w)
	}
	if c.Stdin {
		r, w, err := openPipe()
		if err != nil {
			closeAll(append(ours, theirs...))
			return err
		}
		cmd.Stdin = r
		p.Stdin, p.stdin = stdinPipe{w}, w
		ours, theirs = append(ours, w), append(theirs, r)
	}
	err = p.Host.launch(cmd, credential != nil)
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return explainStartError(err)
	}
	p.cmd, p.PID = cmd, cmd.Process.Pid
	// It is not reaped yet, so its entry in /proc is there even if it has ended. Should
	// /proc not tell, the number alone identifies it.
	if p.started, err = observe.ReadProcess(p.PID); err != nil {
		p.started = ProcessInfo{PID: p.PID}
	}
	p.Stdout.told = func(line string) { p.Detail(EventOutput, p.PID, said("stdout: "+line)) }
	p.Stderr.told = func(line string) { p.Detail(EventOutput, p.PID, said("stderr: "+line)) }
	go p.collect(p.Stdout, ours[0])
	go p.collect(p.Stderr, ours[1])
	go p.wait()
	return nil
}

func (p *Process) collect(output *Output, r *os.File) { output.collectPipe(r) }

func (p *Process) wait() {
	_ = p.cmd.Wait() // the state says the same in full
	p.state = p.cmd.ProcessState
	// One that lets its parent trace it (PTRACE_TRACEME) is reported at each stop, and its
	// PID namespace ends only when its end is waited for, too.
	for p.state.Sys().(syscall.WaitStatus).Stopped() {
		again, err := os.FindProcess(p.PID)
		if err != nil {
			break
		}
		state, err := again.Wait()
		if err != nil {
			break
		}
		p.state = state
	}
	exit := p.exit()
	p.add(Event{Kind: EventExit}, "pid %d: %v", p.PID, exit)
	if p.stdin != nil {
		p.stdin.Close()
	}
	p.endedAt = time.Now()
	close(p.ended)
}

// stdinPipe is the writing end of a pipe. Its Close returns when the reader comes to the end.
type stdinPipe struct{ *os.File }

func (p stdinPipe) Close() error { return pipes.CloseWriter(p.File) }

func explainStartError(err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: install the program (or the interpreter that it names) or give its path", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: raise the limit on open files (ulimit -n)", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: the file is not a program: a script begins with #! and its interpreter", err)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%w: run as root with CAP_SETUID and CAP_SETGID, which a start as another user needs", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: make the program executable for this user", err)
	case errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%w: a limit on processes is reached (ulimit -u, pids.max), or a fault refuses forks", err)
	}
	return err
}

// credentialOf looks a user up by name or number.
func credentialOf(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	if !manyUsers() {
		return nil, &MissingError{Feature: FeatureUsers, Remedy: "run as root (sudo): a sandbox made without root has one user only"}
	}
	return lookUpUser(name)
}

// CheckUser returns an error where [Command.User] names a user that this machine does not have.
func CheckUser(name string) error {
	if name == "" {
		return nil
	}
	_, err := lookUpUser(name)
	return err
}

func lookUpUser(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		var idErr error
		if u, idErr = user.LookupId(name); idErr != nil {
			if _, numberErr := strconv.ParseUint(name, 10, 32); numberErr != nil {
				return nil, fmt.Errorf("look up user %q: %w: give a user of this machine or a number", name, err)
			}
			u = &user.User{Uid: name, Gid: name}
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// String returns the process by host, name and number.
func (p *Process) String() string { return fmt.Sprintf("%s (pid %d)", p.who(), p.PID) }

func (p *Process) who() string { return p.Host.Name + "/" + p.Name }

// Signal sends a signal to the process. The error wraps os.ErrProcessDone where
// it has ended. It cannot hit another process that got the same number.
func (p *Process) Signal(s syscall.Signal) error {
	p.Host.lab.noteSent(s)
	began := time.Now()
	err := p.send(s)
	p.add(Event{Kind: EventSignal, Began: p.Host.lab.Journal.at(began)}, "signal %v%s", s, errorSuffix(err))
	if err != nil {
		return fmt.Errorf("send %v to %v: %w", s, p, needsKill(err))
	}
	return nil
}

func (p *Process) send(s syscall.Signal) error {
	handle, err := p.open()
	if err != nil {
		return err
	}
	defer handle.Close()
	return handle.Signal(s)
}

// open returns a handle of the process, which the caller closes. The error is
// os.ErrProcessDone where it has ended and was waited for.
func (p *Process) open() (*pidfd.Process, error) {
	if !p.Running() {
		return nil, os.ErrProcessDone
	}
	handle, err := pidfd.Open(p.PID)
	if err != nil {
		return nil, err
	}
	// The number cannot have gone to another process as long as ours was not waited for.
	if !p.Running() {
		handle.Close()
		return nil, os.ErrProcessDone
	}
	return handle, nil
}

// Kill ends the process by SIGKILL and waits until it is gone. A process that
// had already ended is no error.
func (p *Process) Kill(ctx context.Context) error {
	if _, _, err := p.Host.lab.kill(ctx, p.who(), p.Itself()); err != nil {
		return err
	}
	_, err := p.Wait(ctx)
	return err
}

// Ended is closed when the process has ended and was waited for.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Wait waits until the process ends by itself.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	ctx, cancel := context.WithTimeout(ctx, scaled(patience))
	defer cancel()
	select {
	case <-p.ended:
		return p.exit(), nil
	case <-ctx.Done():
		return Exit{}, fmt.Errorf("await the end of %v: %w: it still runs", p, ErrNotObserved)
	}
}

func (p *Process) exit() Exit {
	status := p.state.Sys().(syscall.WaitStatus)
	exit := Exit{Code: p.state.ExitCode(), UserTime: p.state.UserTime(), SysTime: p.state.SystemTime()}
	if status.Signaled() {
		exit.Signal = status.Signal()
	}
	return exit
}

// Stop ends the process: the stop signal, the grace, SIGKILL, and always a wait. The
// error says that SIGKILL ended the process when the grace was over; the exit is valid
// then, too. A process that waits for a processor has more grace: up to [Patience], unless
// [Command.Grace] says how much it has. The children are left to the process.
func (p *Process) Stop(ctx context.Context) (Exit, error) {
	stopSignal, grace := p.Command.StopSignal, p.Command.Grace
	if stopSignal == 0 {
		stopSignal = syscall.SIGTERM
	}
	longest := grace
	if grace == 0 {
		grace, longest = p.Host.lab.grace(scaled(defaultGrace)), p.Host.lab.grace(Patience())
	}
	_, waited, _ := observe.ReadScheduled(p.PID) // an error: it has ended
	if err := p.Signal(stopSignal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return Exit{}, err
	}
	// A frozen process takes the signal only once it runs again.
	_ = p.send(syscall.SIGCONT)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for began := time.Now(); ; {
		select {
		case <-p.ended:
			return p.exit(), nil
		case <-timer.C:
			_, waitedNow, err := observe.ReadScheduled(p.PID)
			if starved := err == nil && waitedNow-waited > grace/2; starved && time.Since(began) < longest {
				waited = waitedNow
				timer.Reset(grace)
				continue
			}
		case <-ctx.Done():
		}
		break
	}
	if err := p.Kill(context.WithoutCancel(ctx)); err != nil {
		return Exit{}, err
	}
	if exit := p.exit(); exit.Signal != syscall.SIGKILL {
		return exit, nil // by itself, or of the stop signal
	}
	return p.exit(), fmt.Errorf("stop %v: it outlived %v by its grace of %v and was killed", p, stopSignal, grace.Round(time.Millisecond))
}

// Restart starts the same command again on the same host, whether or not the
// process still runs, and returns the new process, which is [Process.Latest] of
// this one from then on.
func (p *Process) Restart() (*Process, error) { return p.RestartUnder(p.Command.ClockOffset) }

// RestartUnder is [Process.Restart] under another [Command.ClockOffset]: to the
// command, its clocks have jumped, as after a reboot or a resume elsewhere.
func (p *Process) RestartUnder(offset time.Duration) (*Process, error) {
	c := p.Command
	c.ClockOffset = offset
	next, err := p.Host.Start(c)
	if err != nil {
		return nil, err
	}
	p.successor.Store(next)
	return next, nil
}

// Latest returns the process that was started last in the place of this one, by
// [Process.Restart] and again by that of its successors; the process itself where
// it was never restarted. A fault that restarts a process leaves it here.
func (p *Process) Latest() *Process {
	for next := p.successor.Load(); next != nil; next = p.successor.Load() {
		p = next
	}
	return p
}

// Freeze is [Lab.FreezeTogether] of the process alone. [Process.Thaw] heals it, and so
// does the end of the lab. The error wraps os.ErrProcessDone where it has ended.
func (p *Process) Freeze(ctx context.Context) error {
	frozen, err := p.Host.lab.freeze(ctx, p.who(), p.Itself())
	if err == nil {
		frozen.forget()
	}
	return err
}

// Thaw continues a process that [Process.Freeze] stopped.
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// outputTail returns the end of what the process wrote, for a failure report.
func (p *Process) outputTail(n int) string {
	var b strings.Builder
	for _, stream := range []struct {
		name   string
		output *Output
	}{{"stdout", p.Stdout}, {"stderr", p.Stderr}} {
		if lines := stream.output.Last(n); len(lines) > 0 {
			fmt.Fprintf(&b, "%s of %v, last %d of %d lines:\n", stream.name, p, len(lines), stream.output.Total())
			for _, line := range lines {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
	}
	return b.String()
}

// Record adds an event of the process to the journal of its lab.
func (p *Process) Record(format string, args ...any) { p.add(Event{}, format, args...) }

// add adds an event of the process.
func (p *Process) add(e Event, format string, args ...any) {
	e.Who, e.PID, e.What = p.who(), p.PID, fmt.Sprintf(format, args...)
	p.Host.lab.Journal.add(e)
}

// Detail tells those that watch the journal of the lab what a process did, the process itself or
// a descendant: see [Journal.Detail].
func (p *Process) Detail(kind EventKind, pid int, what fmt.Stringer) {
	if j := p.Host.lab.Journal; j.watched.Load() {
		j.Detail(Event{Who: p.who(), Kind: kind, PID: pid, What: what.String()})
	}
}
