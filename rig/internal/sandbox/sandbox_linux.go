// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"forkrig/rig/internal/program"
	"forkrig/rig/observe"
)

// The descriptors that init gets, beside the standard streams.
const (
	deathPipeFD    = 3 // its end is the death of the outer process
	failurePipeFD  = 4 // takes what keeps init from starting the program
	initAnnounceFD = 5 // becomes announceFD of the program; absent where that is
)

// initArg0 is argv[0] of the sandbox's first process.
var initArg0 = program.Arg0(Init)

// IsInit says whether this process is the sandbox's first one, which calls [Run] and
// nothing else.
func IsInit() bool { return os.Args[0] == initArg0 }

// Run calls f and returns its exit status where it stands when that is inside a sandbox
// already. Otherwise it starts this binary again inside a new one, where the call of Run
// is the one that calls f.
func Run(network Network, f func() int) (status int, err error) {
	switch {
	case IsInit():
		return runInit(network)
	case Inside():
		if IsFirst() {
			takeOver()
		}
		return f(), nil
	}
	return start()
}

// Inside says whether this process is inside a sandbox.
func Inside() bool {
	self, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && os.Getenv(sandboxEnv) == self
}

// IsFirst says whether this process is the one that init started. Others, such as the
// workers of a fuzz test, are not alone in the sandbox.
func IsFirst() bool { return Inside() && os.Getppid() == 1 }

// takeOver takes what init handed to the process that runs f.
func takeOver() {
	unix.CloseOnExec(keeperFD)
	keeperSocket = keeperFD
	takeInvokerOutput()
}

// start runs this binary as init of new namespaces, passes signals on to
// it and returns its exit status. The death pipe alone tells init that its
// parent died: with Pdeathsig the kernel would kill init before it could end
// the connections that hold namespaces, see [kept].
func start() (int, error) {
	deathRead, deathWrite, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("open the death pipe: %w", err)
	}
	defer deathWrite.Close() // ours alone: its end is the sandbox's end

	failureRead, failureWrite, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("open a pipe: %w", err)
	}
	defer failureRead.Close()
	if err := closeInheritedOnExec(); err != nil {
		return 0, err
	}
	inUserNamespace := !canUnshare()
	init := exec.Command("/proc/self/exe")
	init.Args = append([]string{initArg0}, os.Args...)
	init.Env = withoutEnv(withoutEnv(os.Environ(), sandboxEnv), invokerOutputEnv)
	init.Stdin, init.Stdout, init.Stderr = os.Stdin, os.Stdout, os.Stderr
	init.ExtraFiles = []*os.File{deathRead, failureWrite}
	dir, output := openInvoker()
	init.Env = append(init.Env, invokerEnv+"="+dir)
	if output != nil {
		defer output.Close()
		init.ExtraFiles = append(init.ExtraFiles, output) // initAnnounceFD
		init.Env = append(init.Env, invokerOutputEnv+"=yes")
	}
	init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// A group of its own, so that a terminal's Ctrl-C arrives once, through us.
		Setpgid: true,
	}
	if inUserNamespace {
		init.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		init.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		init.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}

	signals := forwardedSignals()
	err = init.Start()
	deathRead.Close()
	failureWrite.Close()
	if err != nil {
		return 0, explainStartError(err, inUserNamespace)
	}
	failure := make(chan string, 1)
	go func() {
		// The pipe ends when init passes signals on. The kernel drops those that come before to
		// the first process of a namespace.
		text, _ := io.ReadAll(failureRead) // the exit status says that something failed
		failure <- string(text)
		forwardSignals(signals, init.Process.Signal)
	}()
	if err := init.Wait(); err != nil && init.ProcessState == nil {
		return 0, fmt.Errorf("wait for the sandbox: %w", err)
	}
	if text := <-failure; text != "" {
		return 0, errors.New(text)
	}
	ended := init.ProcessState.Sys().(syscall.WaitStatus)
	if ended.Signaled() {
		fmt.Fprintf(os.Stderr, "forkrig: the sandbox's init was ended by signal %d (%v), and everything in it\n",
			int(ended.Signal()), ended.Signal())
	}
	return exitStatus(ended), nil
}

// closeInheritedOnExec keeps descriptors that this process got from its parent,
// beyond the standard streams, out of the sandbox: no subject has a descriptor
// that it was not meant to have.
func closeInheritedOnExec() error {
	const first = 3
	err := unix.CloseRange(first, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	// Before Linux 5.11: one by one.
	fds, err := observe.ReadFDs(os.Getpid())
	if err != nil {
		return explainStartError(err, false)
	}
	for _, fd := range fds {
		if fd.Number >= first {
			unix.CloseOnExec(fd.Number)
		}
	}
	return nil
}

// canUnshare says whether the process may make namespaces without a user
// namespace: it needs CAP_SYS_ADMIN for them (unshare(2)) and CAP_NET_ADMIN for
// what is done inside.
func canUnshare() bool {
	return hasCapability(unix.CAP_SYS_ADMIN) && hasCapability(unix.CAP_NET_ADMIN)
}

// hasCapability says whether the capability is effective (capabilities(7)).
func hasCapability(number int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[number/32].Effective&(1<<(number%32)) != 0
}

// explainStartError turns the error of clone(2), or of what precedes it, into what a person can do.
func explainStartError(err error, inUserNamespace bool) error {
	remedy := ""
	switch forbidden := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES); {
	case errors.Is(err, unix.ENOSPC):
		remedy = "a limit in /proc/sys/user is reached (max_user_namespaces, max_net_namespaces, …): raise it with sysctl"
	case forbidden && !inUserNamespace:
		remedy = "it is forbidden in spite of CAP_SYS_ADMIN: allow namespaces in the seccomp profile (in a container: seccomp=unconfined)"
	case forbidden && os.Geteuid() == 0 && !hasCapability(unix.CAP_SETFCAP):
		// Mapping root into a user namespace needs CAP_SETFCAP (user_namespaces(7), Linux 5.12).
		remedy = "this root has too few capabilities: give it CAP_SYS_ADMIN and CAP_NET_ADMIN, both of them " +
			"(in a container: --cap-add), or run as an ordinary user, who gets a user namespace"
	case forbidden:
		remedy = "user namespaces are forbidden here: run as root (sudo), or allow them " +
			"(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; " +
			"in a container: seccomp=unconfined, or root with CAP_SYS_ADMIN and CAP_NET_ADMIN)"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		remedy = "the kernel lacks a namespace type: it needs CONFIG_NAMESPACES with USER_NS, PID_NS, NET_NS, UTS_NS and IPC_NS"
	case errors.Is(err, unix.ENOENT):
		remedy = "there is no /proc: mount it (mount -t proc proc /proc)"
	default:
		return fmt.Errorf("start the sandbox: %w", err)
	}
	return fmt.Errorf("start the sandbox: %w: %s", err, remedy)
}

// forwardedSignals catches the signals that a person, a supervisor or go test
// sends to a test binary, SIGQUIT for a goroutine dump among them.
func forwardedSignals() <-chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	return signals
}

// forwardSignals passes signals on. An error means that the receiver has just
// ended, which the caller that waits for it reports.
func forwardSignals(signals <-chan os.Signal, send func(os.Signal) error) {
	for s := range signals {
		_ = send(s)
	}
}

// runInit is the first process of the sandbox: it prepares the namespaces, starts the
// program as its child, reaps every orphan and returns the child's exit status. When
// it returns, the kernel kills whatever is left. What keeps it from starting the program
// is told to the outer process, which returns it.
func runInit(network Network) (status int, err error) {
	for _, fd := range []int{deathPipeFD, failurePipeFD} {
		unix.CloseOnExec(fd)
	}
	child, kept, err := startProgram(network)
	if err != nil {
		_, err = os.NewFile(failurePipeFD, "failure pipe").WriteString(err.Error())
		return 1, err
	}
	unix.Close(failurePipeFD)
	go killWithParent()
	ended, err := reapUntil(child)
	if err != nil {
		return 0, fmt.Errorf("wait for the program in the sandbox: %w", err)
	}
	if ended.Signaled() {
		fmt.Fprintf(os.Stderr, "forkrig: the program in the sandbox was ended by signal %d (%v)\n", int(ended.Signal()), ended.Signal())
	}
	killAll()
	if _, err := reapUntil(none); err != unix.ECHILD {
		return 0, fmt.Errorf("wait for the last processes: %w", err)
	}
	return exitStatus(ended), kept.endConnections(network)
}

// startProgram prepares the namespaces and starts the program in them.
func startProgram(network Network) (child int, kept *kept, err error) {
	if err := prepareNamespaces(); err != nil {
		return 0, nil, err
	}
	if err := network.Prepare(); err != nil {
		return 0, nil, err
	}
	if err := forgoCores(); err != nil {
		return 0, nil, err
	}
	self, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return 0, nil, fmt.Errorf("identify the sandbox: %w", err)
	}
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socketpair", err)
	}
	files := []uintptr{0, 1, 2, keeperFD: uintptr(sockets[1])}
	if os.Getenv(invokerOutputEnv) != "" {
		unix.CloseOnExec(initAnnounceFD)
		files = append(files, initAnnounceFD) // becomes announceFD
	}
	signals := forwardedSignals()
	// The child is waited for by reapUntil, never by os.Process, because init
	// reaps every process of the sandbox.
	child, err = syscall.ForkExec("/proc/self/exe", os.Args[1:], &syscall.ProcAttr{
		Env:   append(withoutEnv(os.Environ(), "TMPDIR"), sandboxEnv+"="+self, "TMPDIR="+sandboxTemp),
		Files: files,
	})
	if err != nil {
		return 0, nil, fmt.Errorf("start the tests: %w", err)
	}
	unix.Close(sockets[1])
	go forwardSignals(signals, func(s os.Signal) error { return syscall.Kill(child, s.(syscall.Signal)) })
	return child, newKept(sockets[0]), nil
}

// forgoCores lets no process of the sandbox leave a core file where it crashes (core(5)): its
// working directory may be the invoker's. One that wants a core file may raise the limit.
func forgoCores() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	limit.Cur = 0
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_CORE, &limit))
}

// none is the number of no process.
const none = -1

// reapUntil waits for every child and every orphan until pid has ended.
func reapUntil(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || ended == pid {
			return status, err
		}
	}
}

// killAll kills every process of the sandbox but init (kill(2)). An error means
// that there is none.
func killAll() { _ = unix.Kill(-1, unix.SIGKILL) }

// killWithParent kills the sandbox's processes when the write end of the death
// pipe closes, which the kernel does when the parent dies. Init sees the tests
// end and goes the way it always goes.
func killWithParent() {
	var b [1]byte
	for {
		n, err := unix.Read(deathPipeFD, b[:])
		if n == 0 && err == nil || err != nil && err != unix.EINTR {
			killAll()
			return
		}
	}
}

func exitStatus(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func withoutEnv(environ []string, name string) []string {
	var kept []string
	for _, e := range environ {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// sandboxTemp is where the sandbox mounts a temporary file system of its own.
// The directory exists wherever there is a C library, and what other programs
// keep in it belongs to the IPC namespace that the sandbox has left anyway.
const sandboxTemp = "/dev/shm"

// prepareNamespaces gives the new namespaces their own /proc, temporary
// directory and host name. Mounts stay in the sandbox, because the
// whole tree is made private first.
func prepareNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w: the root directory must be a mount point, and mounting allowed "+
			"(by AppArmor: apparmor=unconfined in a container, elsewhere sysctl kernel.apparmor_restrict_unprivileged_userns=0; "+
			"by seccomp: seccomp=unconfined)", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w: the kernel refuses a new /proc where the old one is covered in part, "+
			"as in a container: --security-opt systempaths=unconfined, in Kubernetes procMount: Unmasked, or root with CAP_SYS_ADMIN and CAP_NET_ADMIN", err)
	}
	if err := unix.Mount("tmpfs", sandboxTemp, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount a temporary file system on %s: %w: create that directory", sandboxTemp, err)
	}
	if err := unix.Sethostname([]byte("forkrig")); err != nil {
		return fmt.Errorf("set the sandbox's host name: %w", err)
	}
	return nil
}
