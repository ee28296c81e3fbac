// SPDX-License-Identifier: Apache-2.0

// Package population makes the world that the processes of a host see: a PID namespace in
// which they have numbers of their own and can signal no other process, whatever their
// rights (pid_namespaces(7)), with a /proc that shows just them.
//
// Its first process is a small init, a helper program of the binary, which adopts orphans
// and reaps them. It kills all the others when it ends, those that are being forked included,
// and where it was killed itself the kernel does so.
package population

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// Program is the helper program that is init.
const Program = program.Builtin + "host"

// MaxNumber is the highest number of a process or thread of a population
// (kernel.pid_max of its PID namespace, since Linux 6.14). It keeps one that forks
// without end, until it is ended, from taking the numbers that the machine needs.
const MaxNumber = 4096

// ErrEnded is returned by [Population.Launch] where the population has ended.
var ErrEnded = errors.New("all processes of the host, init included, were just ended")

// Population is one that has begun. The caller ends it.
type Population struct {
	network int       // descriptor of the network namespace; the caller's
	init    *exec.Cmd // owned
	group   *cgroup   // owned; nil where there is none
	gone    chan struct{}

	asking          sync.Mutex
	orders, answers *os.File // pipes to and from init, owned; guarded by asking
	refuses         bool     // guarded by asking

	// The launchers are threads that are in the namespaces of the host. They live as
	// long as the population, because a child may ask to die with its parent, and for
	// the kernel that is a thread (PR_SET_PDEATHSIG(2const)). What the unprivileged one
	// starts never gains a privilege by executing a program; it comes with the first
	// process that needs it.
	ordinary     *launcher
	mu           sync.Mutex
	unprivileged *launcher // guarded by mu
}

// Begin starts init, called by the name of the host, in a PID and a mount namespace of its
// own, and a thread that is in these and in the network namespace of that descriptor, which
// stays open until [Population.End]. The error is that of exec.Cmd.Start where init does
// not start. Requires CAP_SYS_ADMIN.
func Begin(host string, network int) (*Population, error) {
	group, err := newCgroup()
	if err != nil {
		return nil, err
	}
	init := program.Command(Program, host)
	orders, answers, err := startInit(init, group)
	if err != nil {
		group.remove()
		return nil, err
	}
	p := &Population{network: network, init: init, group: group, gone: make(chan struct{}), orders: orders, answers: answers}
	go func() {
		_ = init.Wait() // however it ended
		group.remove()
		close(p.gone)
	}()
	if _, err = p.hear(); err == nil { // else it has said why not
		p.ordinary, err = p.newLauncher(false)
	}
	if err != nil {
		_ = init.Process.Kill()
		<-p.gone
		p.closePipes()
		return nil, err
	}
	return p, nil
}

// startInit starts init with two pipes. The caller owns them, and the process.
func startInit(init *exec.Cmd, group *cgroup) (orders, answers *os.File, err error) {
	theirOrders, orders, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("open a pipe: %w", err)
	}
	defer theirOrders.Close()
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		orders.Close()
		return nil, nil, fmt.Errorf("open a pipe: %w", err)
	}
	defer theirAnswers.Close()
	init.Stdin, init.Stdout, init.Stderr = theirOrders, theirAnswers, os.Stderr
	init.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	group.enter(init)
	if err := init.Start(); err != nil {
		orders.Close()
		answers.Close()
		return nil, nil, err
	}
	return orders, answers, nil
}

func (p *Population) closePipes() {
	p.asking.Lock()
	defer p.asking.Unlock()
	p.orders.Close()
	p.answers.Close()
}

// hear returns the errno that init answers with, 0 for success.
func (p *Population) hear() (syscall.Errno, error) {
	var answer [1]byte
	if _, err := p.answers.Read(answer[:]); err != nil {
		return 0, ErrEnded
	}
	return syscall.Errno(answer[0]), nil
}

// Gone is closed when no process of the population is left.
func (p *Population) Gone() <-chan struct{} { return p.gone }

// Proc is where the rig sees the /proc of the population.
func (p *Population) Proc() string { return fmt.Sprintf("/proc/%d/root/proc", p.init.Process.Pid) }

// Init is the number of its first process, which has the resource limits with which the
// others are started.
func (p *Population) Init() int { return p.init.Process.Pid }

// Launch starts a process on a thread that is in the host's
// namespaces. With unprivileged the process and its children never gain a privilege
// by executing a program, such as a set-user-ID one (PR_SET_NO_NEW_PRIVS(2const)):
// as root of the machine they would have what the rig has. The error wraps [ErrEnded]
// where the population has ended.
func (p *Population) Launch(cmd *exec.Cmd, unprivileged bool) error {
	p.group.enter(cmd)
	l := p.ordinary
	if unprivileged {
		p.mu.Lock()
		if p.unprivileged == nil {
			var err error
			if p.unprivileged, err = p.newLauncher(true); err != nil {
				p.unprivileged = nil
				p.mu.Unlock()
				return fmt.Errorf("make a thread without privileges: %w", err)
			}
		}
		l = p.unprivileged
		p.mu.Unlock()
	}
	return l.do(cmd.Start)
}

// Kill has init kill all processes at one instant and end, and waits for nothing.
//
// To kill init does the same in the end, but later: the kernel kills the others when init has
// unmapped its memory, for which it waits for the locks of the files, such as the C library, of
// which thousands of processes that fork have it wait for minutes (exit_mmap before
// zap_pid_ns_processes, do_exit in kernel/exit.c).
func (p *Population) Kill() { _, _ = p.orders.Write([]byte{orderEnd}) } // an error means that it has ended

// orderedEnd is how long init may take to obey the order to end.
const orderedEnd = 10 * time.Second

// End kills all processes at one instant and returns when none is left, and no thread is in
// their namespaces. A second call does nothing.
func (p *Population) End() {
	p.Kill()
	disobeys := time.AfterFunc(orderedEnd, func() { _ = p.init.Process.Kill() })
	defer disobeys.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	// The kernel keeps a thread that asked its parent, a launcher, to trace it
	// (PTRACE_TRACEME), and with it the PID namespace, until the tracer has ended.
	p.ordinary.end()
	if p.unprivileged != nil {
		p.unprivileged.end()
	}
	<-p.gone
	p.closePipes()
}

// launcher is a thread that calls functions.
type launcher struct {
	calls chan func()
	quit  chan struct{} // closed to end it
	once  sync.Once
	ended chan struct{} // closed when the thread is no more
}

// do calls f on the thread.
func (l *launcher) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case l.calls <- func() { result <- f() }:
		return <-result
	case <-l.quit:
		return ErrEnded
	}
}

// end ends the thread and waits until it is no more.
func (l *launcher) end() {
	l.once.Do(func() { close(l.quit) })
	<-l.ended
}

// newLauncher returns a launcher that is where it belongs.
func (p *Population) newLauncher(unprivileged bool) (*launcher, error) {
	l := &launcher{calls: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	started := make(chan error, 1)
	go l.run(started, func() error {
		if unprivileged {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return os.NewSyscallError("prctl", err)
			}
		}
		return p.enter()
	})
	if err := <-started; err != nil {
		// The error is not one of a start, for which another remedy holds.
		return nil, fmt.Errorf("enter the namespaces of the host: %v: it takes CAP_SYS_ADMIN and CAP_SYS_CHROOT (setns(2))", err)
	}
	return l, nil
}

// run calls what the launcher is given on a thread of its own, which is prepared
// first. The thread ends with it: it can get rid neither of the attribute nor of
// its own file system.
func (l *launcher) run(started chan<- error, prepare func() error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// Not the main thread: /proc/self is about that one. While it is kept here,
		// another one runs the launcher.
		go l.run(started, prepare)
		<-l.ended
		runtime.UnlockOSThread()
		return
	}
	task := fmt.Sprintf("/proc/self/task/%d", unix.Gettid())
	err := prepare()
	started <- err
	for going := err == nil; going; {
		select {
		case f := <-l.calls:
			f()
		case <-l.quit:
			going = false
		}
	}
	go func() {
		awaitNone(task)
		close(l.ended)
	}()
	// From here the goroutine ends without the unlock, and its thread with it.
}

// enter moves the calling thread. Requires Linux 5.8 (setns(2) with a pidfd).
func (p *Population) enter() error {
	// setns(2) refuses a mount namespace to a thread that shares its working directory.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	init, err := pidfd.Open(p.init.Process.Pid)
	if err != nil {
		return err
	}
	defer init.Close()
	if err := init.Enter(unix.CLONE_NEWPID | unix.CLONE_NEWNS); err != nil {
		return err
	}
	return os.NewSyscallError("setns", unix.Setns(p.network, unix.CLONE_NEWNET))
}

// Main is init: the first process of a population. Its end is the end of
// all the others: the tests kill it, or the sandbox's init does.
//
// It reads orders from standard input: see [obey]. For the time in which the kernel
// refuses every fork it must not need another thread, which would be refused, too, and
// end it. So the Go runtime has one processor and no garbage collection: what remains
// of it is the main thread, and the runtime's own, which exist already.
func Main(args []string) int {
	if os.Getpid() != 1 { // what it does to all processes is for those of a namespace of its own
		fmt.Fprintln(os.Stderr, "forkrig: the init of a host is started by a lab only")
		return 2
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	ignoreSignals()
	// The Go runtime has raised the soft limit on open files. It gives it back before an
	// execution, also before one that fails: the limits of init are those of what is started.
	_ = syscall.Exec("", nil, nil)
	if len(args) > 1 {
		program.SetProcessName("init of " + args[1])
	}
	if err := prepareHost(); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: prepare a host for processes: %v\n", err)
		return 1
	}
	answer(0)
	obey()
	// All others at one instant, and those that are being forked do not begin: see Kill.
	_ = unix.Kill(-1, unix.SIGKILL)
	return 0
}

// ignoreSignals gives every signal its default action, those of the Go runtime included:
// the kernel drops them for the first process of a PID namespace when a process of the
// namespace sends them (pid_namespaces(7)). SIGCHLD is ignored, so that the kernel reaps
// the orphans that init adopts as soon as they end (wait(2)).
func ignoreSignals() {
	action := [4]uint64{sigDefault} // struct sigaction of the kernel
	const highest = 64              // signal(7)
	for s := unix.Signal(1); s <= highest; s++ {
		action[0] = sigDefault
		if s == unix.SIGCHLD {
			action[0] = sigIgnore
		}
		// An error says that it cannot be changed anyway.
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	}
}

const sigDefault, sigIgnore = 0, 1 // SIG_DFL, SIG_IGN

func prepareHost() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if !LimitsNumbers() {
		return nil
	}
	return os.WriteFile(pidMax, []byte(strconv.Itoa(MaxNumber)), 0)
}

const (
	pidMax    = "/proc/sys/kernel/pid_max"
	nsLastPID = "/proc/sys/kernel/ns_last_pid"
)

// LimitsNumbers says whether kernel.pid_max limits the PID namespace of its
// writer: since Linux 6.14 (commit 7863dcc72d0f). Before, it limits the whole machine, and
// the rig must not write it.
func LimitsNumbers() bool {
	var major, minor int
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	_, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 14)
}

// InnermostPID returns the number that a process has in its own PID namespace. The error
// wraps os.ErrNotExist where the process is no more. Requires Linux 4.1 (NSpid in
// proc_pid_status(5)).
func InnermostPID(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseInnermostPID(status)
}

// parseInnermostPID reads the line NSpid of /proc/PID/status, which has the numbers
// of the process in its namespaces, the innermost last.
func parseInnermostPID(status []byte) (int, error) {
	numbers, err := observe.StatusField(status, "NSpid")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(numbers[strings.LastIndexByte(numbers, '\t')+1:])
}

// threadEnd is how long a thread may take to end. One that stays is found at the end of
// the lab, which sees what it holds.
const threadEnd = time.Minute

// awaitNone waits until there is no such directory in /proc.
func awaitNone(task string) {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < threadEnd; <-ticker.C {
		if _, err := os.Stat(task); errors.Is(err, os.ErrNotExist) {
			return
		}
	}
}
