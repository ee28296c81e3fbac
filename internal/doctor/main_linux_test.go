// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/inject"
)

var programs = rig.Programs{ProgramName: Program, "inject": inject.Shim}

// asProgramEnv turns the test binary into a program that does what [Main] does, after
// it has taken from itself what the variable names.
const asProgramEnv = "FORKRIG_TEST_DOCTOR"

func TestMain(m *testing.M) {
	if name, set := os.LookupEnv(asProgramEnv); set {
		rig.Dispatch(programs)
		if os.Getenv(restrictedEnv) == "" {
			// It is about this thread, and an execution takes it over for the whole process.
			runtime.LockOSThread()
			if err := restrictions[name].restrict(); err != nil {
				fmt.Println("restrict this process:", err)
				os.Exit(2)
			}
			err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), restrictedEnv+"=yes"))
			fmt.Println("execute this program again:", err)
			os.Exit(2)
		}
		os.Exit(Main(os.Stdout, false))
	}
	rig.Main(m, programs)
}

// restrictedEnv says that the process has been restricted already.
const restrictedEnv = "FORKRIG_TEST_DOCTOR_RESTRICTED"

// restricted is a way in which a process has less than this one, and what [Main] says
// there.
type restricted struct {
	restrict func() error
	// inUserNamespace has the process be root of a user namespace of its own.
	inUserNamespace bool
	status          int
	says            []string // in this order
	saysNot         []string
}

var restrictions = map[string]restricted{
	"nothing": {
		restrict: func() error { return nil },
		says:     []string{"works users: ", "works users-descriptors: ", "works process-limit: ", "forkrig runs here"},
	},
	"no_new_privs": {
		restrict: func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
		says:     []string{"limited no_new_privs: set", "costs: ", "no sudo", "remedy: ", "no-new-privileges", "works users: ", "forkrig runs here"},
	},
	"another user": {
		restrict: becomeOther,
		says: []string{
			"missing users: ", "costs: -subject-user", "remedy: run as root (sudo)",
			"works user: effective user 65534; the sandbox is made in a user namespace", "works ipv6", "forkrig runs here",
		},
		saysNot: []string{"users-descriptors"},
	},
	"few capabilities": {
		restrict: func() error { return dropCapabilities(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETFCAP) },
		status:   exitRunsNot,
		says: []string{
			"missing CAP_SYS_ADMIN, CAP_NET_ADMIN: ", "CAP_SETFCAP", "costs: " + nothingRuns, "remedy: give both",
			"missing sandbox: it does not start: start the sandbox: ", "operation not permitted", "this root has too few capabilities",
			"remedy: see the remedy of CAP_SYS_ADMIN, CAP_NET_ADMIN", "forkrig cannot run here",
		},
	},
	"no CAP_NET_ADMIN": {
		restrict: func() error { return dropCapabilities(unix.CAP_NET_ADMIN) },
		says: []string{
			"missing users: ", "limited CAP_SYS_ADMIN, CAP_NET_ADMIN: this is root, and CAP_NET_ADMIN is missing", "remedy: give both",
			"forkrig runs here",
		},
	},
	"no tracing": {
		restrict: func() error {
			return dropCapabilities(unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_KILL)
		},
		says: []string{
			"missing CAP_KILL: ", "missing CAP_DAC_READ_SEARCH: ", "missing CAP_SYS_PTRACE: ", "--cap-add SYS_PTRACE", "missing users-signals: ",
			"missing users-descriptors: ", "permission denied", "missing users-waits: ", "works users: ", "forkrig runs here",
		},
		saysNot: []string{"users-socket-options", "missing waits"},
	},
	"no setuid": {
		restrict: func() error { return dropCapabilities(unix.CAP_SETUID, unix.CAP_SETGID) },
		says:     []string{"missing CAP_SETGID: ", "missing CAP_SETUID: ", "missing users: ", "remedy: give CAP_SETUID and CAP_SETGID", "forkrig runs here"},
		saysNot:  []string{"users-descriptors"},
	},
	"no raw sockets, no time": {
		restrict: func() error { return dropCapabilities(unix.CAP_NET_RAW, unix.CAP_SYS_TIME) },
		says: []string{
			"missing CAP_NET_RAW: ", "missing CAP_SYS_TIME: ", "missing time-namespace: ", "costs: the fault ClockJump",
			"missing packet-socket: ", "costs: the fault Impairment", "remedy: run with CAP_NET_RAW", "forkrig runs here",
		},
	},
	"no chroot": {
		restrict: func() error { return dropCapabilities(unix.CAP_SYS_CHROOT) },
		status:   exitRunsNot,
		says: []string{
			"missing CAP_SYS_CHROOT: ", "remedy: give it", "missing process: ", "setns: operation not permitted",
			"remedy: give CAP_SYS_CHROOT", "unknown features: not tried", "forkrig cannot run here",
		},
	},
	"covered proc": {
		restrict: func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("none", "/proc/fs", "tmpfs", unix.MS_RDONLY, ""); err != nil {
				return err
			}
			return becomeOther()
		},
		status: exitRunsNot,
		says: []string{
			"missing proc: parts of /proc are covered", "/proc/fs", "remedy: uncover it", "missing sandbox: ", "mount /proc: operation not permitted",
			"remedy: see the remedy of proc", "forkrig cannot run here",
		},
	},
	"no network namespaces": {
		inUserNamespace: true,
		restrict:        func() error { return os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0) },
		status:          exitRunsNot,
		says: []string{
			"missing user.max_net_namespaces: the sysctl is 0", "costs: " + nothingRuns, "remedy: sysctl -w user.max_net_namespaces=",
			"missing sandbox: ", "no space left on device", "remedy: see the remedy of user.max_net_namespaces", "forkrig cannot run here",
		},
	},
	"no mount": {
		restrict: forbidMount,
		status:   exitRunsNot,
		says: []string{
			"missing sandbox: ", "make mounts private: operation not permitted", "seccomp=unconfined",
			"limited seccomp: a filter is on this process (mode 2)", "remedy: ", "seccomp=unconfined", "forkrig cannot run here",
		},
	},
}

// forbidMount has the kernel refuse mount(2), as the profile of a container does.
func forbidMount() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number, in struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MOUNT, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

func becomeOther() error {
	if err := unix.Setgroups(nil); err != nil {
		return err
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, 65534, 65534, 65534); errno != 0 {
		return errno
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
		return errno
	}
	return nil
}

// dropCapabilities takes them from the bounding set, so that an execution by root
// gives all others (capabilities(7)).
func dropCapabilities(numbers ...int) error {
	for _, n := range numbers {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// diagnose runs [Main] in a process of its own with a restriction, and returns its
// output and exit status.
func diagnose(t *testing.T, restriction string) (string, int) {
	t.Helper()
	require.Contains(t, restrictions, restriction)
	ctx, cancel := context.WithTimeout(t.Context(), 4*rig.Patience())
	defer cancel()
	cmd := asProgram(ctx, restriction)
	if restrictions[restriction].inUserNamespace {
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: root, GidMappings: root}
	}
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); !failed {
		require.NoError(t, err)
	}
	t.Logf("%s:\n%s", restriction, out)
	return string(out), cmd.ProcessState.ExitCode()
}

// asProgram returns the command that runs [Main] in a process of its own, outside of
// this sandbox's processes: it makes a sandbox in this one.
func asProgram(ctx context.Context, restriction string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); name == rig.TimeScaleEnv || !strings.HasPrefix(name, "FORKRIG_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, asProgramEnv+"="+restriction)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// TestMainOnRestrictedMachines has [Main] look at machines that lack something. Each
// time it names what is missing and what to do.
func TestMainOnRestrictedMachines(t *testing.T) {
	if rig.Rootless() {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: rig.FeatureUsers, Remedy: "run as root: privileges of root are taken away here"})
	}
	for name, r := range restrictions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, status := diagnose(t, name)
			assert.Equal(t, r.status, status)
			rest := strings.Join(strings.Fields(out), " ")
			for _, text := range r.says {
				_, after, found := strings.Cut(rest, text)
				if !assert.True(t, found, "not said, or not in this place: %q", text) {
					break
				}
				rest = after
			}
			for _, text := range r.saysNot {
				assert.NotContains(t, out, text)
			}
			for line := range strings.Lines(out) {
				assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
			}
		})
	}
}

// TestInside tries every feature here. As root, all that FORKRIG_REQUIRE names in CI
// work; without root there is one user.
func TestInside(t *testing.T) {
	required := os.Getenv(rig.RequireEnv) != ""
	for _, f := range Inside(t) {
		switch {
		case f.State == Works:
			assert.NotEmpty(t, f.Detail, f.Name)
			assert.Empty(t, f.Costs+f.Remedy, f.Name)
			continue
		case f.Name == string(rig.FeatureNetem):
		case f.Name == string(rig.FeatureUsers) && rig.Rootless():
			assert.Equal(t, Missing, f.State)
		case required || f.Essential:
			t.Errorf("%s is %v: %s", f.Name, f.State, f.Detail)
		}
		t.Logf("%s is %v: %s", f.Name, f.State, f.Detail)
		assert.NotEmpty(t, f.Detail, f.Name)
		assert.NotEmpty(t, f.Costs, f.Name)
		assert.NotEmpty(t, f.Remedy, f.Name)
	}
}

// TestProbeIsBounded has probes that do not answer, or answer with something else.
func TestProbeIsBounded(t *testing.T) {
	const within = 20 * time.Millisecond
	release, ended := make(chan struct{}), make(chan struct{})
	stuck := probe{name: "stuck", try: func(context.Context, *labOfTwo) error {
		defer close(ended)
		<-release
		return nil
	}}
	f := stuck.finding(t.Context(), t, within)
	close(release)
	select {
	case <-ended:
	case <-time.After(rig.Patience()):
		t.Fatal("the probe did not go on")
	}
	assert.Equal(t, Finding{Name: "stuck", State: Unknown, Detail: "no answer after 40ms"}, f)

	late := probe{name: "late", try: func(context.Context, *labOfTwo) error {
		return fmt.Errorf("await a byte: %w", context.DeadlineExceeded)
	}}
	f = late.finding(t.Context(), t, rig.Patience())
	assert.Equal(t, Finding{Name: "late", State: Unknown, Detail: "await a byte: context deadline exceeded"}, f)

	past, cancel := context.WithCancel(t.Context())
	cancel()
	f = late.finding(past, t, within)
	assert.Equal(t, Finding{Name: "late", State: Unknown,
		Detail: "not tried: what was tried before took too long (context canceled)"}, f)

	panicking := probe{name: "panicking", limited: true, try: func(context.Context, *labOfTwo) error { panic("no") }}
	f = panicking.finding(t.Context(), t, rig.Patience())
	assert.Equal(t, Finding{Name: "panicking", State: Limited, Detail: "panic: no"}, f)
}

// TestNothingStaysWhenMainIsKilled kills the first process while the child is stopped,
// which can do nothing by itself then.
func TestNothingStaysWhenMainIsKilled(t *testing.T) {
	ours, theirs, err := os.Pipe()
	require.NoError(t, err)
	defer ours.Close()
	cmd := asProgram(t.Context(), "nothing")
	cmd.ExtraFiles = []*os.File{theirs} // the child has it, too
	require.NoError(t, cmd.Start())
	require.NoError(t, theirs.Close())
	child := 0
	err = rig.Await(t.Context(), "the sandbox of the child", func() (bool, string, error) {
		if child = childOf(cmd.Process.Pid); child == 0 {
			return false, "no child", nil
		}
		return childOf(child) != 0, "the child has no sandbox", nil
	})
	require.NoError(t, err)
	require.NoError(t, unix.Kill(child, unix.SIGSTOP))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(rig.Patience())))
	if _, err = ours.Read(make([]byte, 1)); !assert.ErrorIs(t, err, io.EOF, "the child stays") {
		assert.NoError(t, unix.Kill(child, unix.SIGKILL))
	}
}

// childOf returns a child of the process, or 0 where it has none.
func childOf(pid int) (child int) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		if _, err := fmt.Sscan(string(text), &child); err == nil {
			return child
		}
	}
	return 0
}
