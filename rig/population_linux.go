// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/internal/program"

	"golang.org/x/sys/unix"
)

// populate starts init in a PID and a mount namespace of its own and a thread
// that is in these and in the network namespace of the host.
func populate(h *Host) (*population, error) {
	prepared, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open a pipe: %w", err)
	}
	defer prepared.Close()
	init := exec.Command("/proc/self/exe")
	init.Args = []string{program.Arg0(hostProgram), h.Name}
	init.Stdout, init.Stderr = theirs, os.Stderr
	init.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	err = init.Start()
	theirs.Close()
	if err != nil {
		return nil, explainStartError(err)
	}
	p := &population{init: init, gone: make(chan struct{}), ordinary: newLauncher()}
	go func() {
		_ = init.Wait() // however it ended
		close(p.gone)
	}()
	if n, _ := prepared.Read(make([]byte, 1)); n == 0 { // else it has said why not
		_ = init.Process.Kill()
		<-p.gone
		return nil, errors.New("its init ended at once")
	}
	if err := p.launch(p.ordinary, h.ns, false); err != nil {
		_ = init.Process.Kill()
		<-p.gone
		return nil, err
	}
	return p, nil
}

// launch begins the launcher and returns when it is where it belongs.
func (p *population) launch(l *launcher, ns *namespace, unprivileged bool) error {
	started := make(chan error, 1)
	go l.run(started, func() error {
		if unprivileged {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return os.NewSyscallError("prctl", err)
			}
		}
		return p.enter(ns)
	})
	return <-started
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
	task := procPath(unix.Getpid(), "task", strconv.Itoa(unix.Gettid()))
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
		awaitNoFile(task)
		close(l.ended)
	}()
	// From here the goroutine ends without the unlock, and its thread with it.
}

// enter moves the calling thread. Requires Linux 5.8 (setns(2) with a pidfd).
func (p *population) enter(ns *namespace) error {
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
	return os.NewSyscallError("setns", unix.Setns(int(ns.handle), unix.CLONE_NEWNET))
}

// hostMain is the first process of a population. Its end is the end of
// all the others: the tests kill it, or the sandbox's init does.
func hostMain(args []string) int {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	ignoreForeignSignals()
	if len(args) > 1 {
		program.SetProcessName("init of " + args[1])
	}
	if err := prepareHost(); err != nil {
		fmt.Fprintf(os.Stderr, "forkrig: prepare a host for processes: %v\n", err)
		return 1
	}
	fmt.Println("prepared")
	for range ended {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != syscall.EINTR && pid <= 0 {
				break
			}
		}
	}
	return 0
}

// ignoreForeignSignals gives every signal but SIGCHLD its default action, those of
// the Go runtime included: the kernel drops them for the first process of a PID
// namespace when a process of the namespace sends them (pid_namespaces(7)).
func ignoreForeignSignals() {
	var byDefault [4]uint64 // struct sigaction of the kernel, with SIG_DFL
	for s := unix.Signal(1); s <= maxSignal; s++ {
		if s != unix.SIGCHLD { // an error: it cannot be caught anyway
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
		}
	}
}

func prepareHost() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if !limitsProcesses() {
		return nil
	}
	return os.WriteFile(pidMax, []byte(strconv.Itoa(maxNumbers)), 0)
}

const pidMax = "/proc/sys/kernel/pid_max"

// limitsProcesses says whether kernel.pid_max limits the PID namespace of its
// writer: since Linux 6.14 (commit 7863dcc72d0f). Before, it limits the whole machine, and
// the rig must not write it.
func limitsProcesses() bool {
	var major, minor int
	_, err := fmt.Sscanf(Kernel(), "%d.%d", &major, &minor)
	return err == nil && (major > 6 || major == 6 && minor >= 14)
}

// readInnermostPID returns the number that a process has in its own PID namespace.
func readInnermostPID(pid int) (int, error) {
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return 0, err
	}
	return parseInnermostPID(string(status))
}

// parseInnermostPID reads the line NSpid of /proc/PID/status, which has the numbers
// of the process in its namespaces, the innermost last.
func parseInnermostPID(status string) (int, error) {
	for line := range strings.Lines(status) {
		numbers, found := strings.CutPrefix(line, "NSpid:")
		if !found {
			continue
		}
		fields := strings.Fields(numbers)
		if len(fields) == 0 {
			break
		}
		return strconv.Atoi(fields[len(fields)-1])
	}
	return 0, errors.New("the status has no NSpid")
}

// processAttributes makes the process leader of its own session: signals to
// its group and a hang-up of a terminal stay its own affair.
func processAttributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: credential}
}

// manyUsers says whether the user namespace has more than one user, so that a
// process can be started as another.
func manyUsers() bool {
	uidMap, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(uidMap))
	return len(fields) != 3 || fields[2] != "1"
}

const procRoot = "/proc"

func procPath(pid int, parts ...string) string {
	return filepath.Join(append([]string{procRoot, strconv.Itoa(pid)}, parts...)...)
}
