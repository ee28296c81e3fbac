// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"forkrig/rig"
	"forkrig/rig/inject"
)

// asProgramEnv turns the test binary into a program that does what [Main] does, after it
// has taken from itself what the variable names; restrictedEnv says that it has.
const (
	asProgramEnv  = "FORKRIG_TEST_DOCTOR"
	restrictedEnv = "FORKRIG_TEST_DOCTOR_RESTRICTED"
)

func TestMain(m *testing.M) {
	programs := rig.Programs{ProgramName: Program, "inject": inject.Shim}
	name, set := os.LookupEnv(asProgramEnv)
	if !set {
		rig.Main(m, programs)
	}
	rig.Dispatch(programs)
	if os.Getenv(restrictedEnv) != "" {
		os.Exit(Main(os.Stdout, false))
	}
	// It is about this thread, and an execution takes it over for the whole process.
	runtime.LockOSThread()
	err := restrictions[name].restrict()
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), restrictedEnv+"=yes"))
	}
	fmt.Println("restrict this process:", err)
	os.Exit(2)
}

// restrictions are ways in which a process has less than this one, and what [Main] says
// there, in this order.
var restrictions = map[string]struct {
	restrict func() error
	status   int
	says     []string
}{
	"nothing": {func() error { return nil }, exitRuns, []string{"works users: ", "works users-observed: ", "forkrig runs here"}},
	"no_new_privs": {func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, exitRuns,
		[]string{"limited no_new_privs: set", "costs: ", "no sudo", "remedy: ", "no-new-privileges", "works users: ", "forkrig runs here"}},
	"another user": {becomeOther, exitRuns, []string{"missing users: ", "costs: -subject-user", "remedy: run as root (sudo)",
		"works capabilities: effective user 65534; the sandbox is made in a user namespace", "works ipv6", "forkrig runs here"}},
	"few capabilities": {without(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETFCAP), exitRunsNot,
		[]string{"missing capabilities: ", "SETFCAP", "costs: " + nothingRuns, "remedy: give CAP_SYS_ADMIN and CAP_NET_ADMIN",
			"missing sandbox: it does not start: start the sandbox: ", "operation not permitted", "remedy: see the remedy of capabilities", "forkrig cannot run here"}},
	"no CAP_NET_ADMIN": {without(unix.CAP_NET_ADMIN), exitRuns,
		[]string{"missing users: ", "limited capabilities: effective user 0 lacks NET_ADMIN", "one user only", "forkrig runs here"}},
	"no tracing": {without(unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_KILL), exitRuns,
		[]string{"missing users-observed: ", "permission denied", "operation not permitted", "costs: -subject-user",
			"limited capabilities: effective user 0 lacks DAC_READ_SEARCH, KILL, SYS_PTRACE", "works users: ", "works proc-syscall", "forkrig runs here"}},
	"no setuid": {without(unix.CAP_SETUID, unix.CAP_SETGID), exitRuns,
		[]string{"missing users: ", "remedy: give CAP_SETUID and CAP_SETGID", "limited capabilities: ", "forkrig runs here"}},
	"no raw sockets, no time": {without(unix.CAP_NET_RAW, unix.CAP_SYS_TIME), exitRuns,
		[]string{"missing time-namespace: ", "costs: the fault ClockJump", "missing packet-socket: ", "costs: the fault Impairment", "remedy: run with CAP_NET_RAW", "forkrig runs here"}},
	"no chroot": {without(unix.CAP_SYS_CHROOT), exitRunsNot,
		[]string{"missing capabilities: ", "missing process: ", "remedy: give CAP_SYS_CHROOT", "unknown features: not tried", "forkrig cannot run here"}},
	"covered proc": {func() error {
		return errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("none", "/proc/fs", "tmpfs", unix.MS_RDONLY, ""), becomeOther())
	}, exitRunsNot, []string{"missing proc: parts of /proc are covered", "/proc/fs", "missing sandbox: ", "mount /proc: operation not permitted",
		"remedy: see the remedy of proc", "forkrig cannot run here"}},
}

func becomeOther() error {
	if err := unix.Setgroups(nil); err != nil {
		return err
	}
	for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
		if _, _, errno := unix.RawSyscall(call, 65534, 65534, 65534); errno != 0 {
			return errno
		}
	}
	return nil
}

// without takes capabilities from the bounding set, so that an execution by root gives all
// others (capabilities(7)).
func without(numbers ...int) func() error {
	return func() (err error) {
		for _, n := range numbers {
			err = errors.Join(err, unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0))
		}
		return err
	}
}

// TestRestrictedMachines has [Main] look at machines that lack something. Each time it
// names what is missing and what to do.
func TestRestrictedMachines(t *testing.T) {
	if rig.Rootless() {
		rig.SkipIfMissing(t, &rig.MissingError{Feature: rig.FeatureUsers, Remedy: "run as root: privileges of root are taken away here"})
	}
	for name, r := range restrictions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*rig.Patience())
			defer cancel()
			cmd := exec.CommandContext(ctx, "/proc/self/exe") // it makes a sandbox in this one
			cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
				return strings.HasPrefix(e, "FORKRIG_") && !strings.HasPrefix(e, rig.TimeScaleEnv)
			}), asProgramEnv+"="+name)
			out, _ := cmd.CombinedOutput() // the status says it
			assert.Equal(t, r.status, cmd.ProcessState.ExitCode(), "%s", out)
			rest := strings.Join(strings.Fields(string(out)), " ")
			for _, text := range r.says {
				_, after, found := strings.Cut(rest, text)
				require.True(t, found, "not said, or not in this place: %q\n%s", text, out)
				rest = after
			}
		})
	}
}

// TestProbes tries every feature here. As root, all that FORKRIG_REQUIRE names in CI work;
// without root there is one user.
func TestProbes(t *testing.T) {
	tryAll(t, func(f finding) {
		t.Logf("%s is %s: %s", f.Name, f.State, f.Detail)
		if f.State == works {
			assert.Empty(t, f.Costs+f.Remedy, f.Name)
			return
		}
		assert.NotEmpty(t, f.Detail, f.Name)
		assert.NotEmpty(t, f.Costs, f.Name)
		assert.NotEmpty(t, f.Remedy, f.Name)
		if optional := f.Name == string(rig.FeatureNetem) || f.Name == string(rig.FeatureUsers) && rig.Rootless(); !optional {
			assert.False(t, f.Essential || os.Getenv(rig.RequireEnv) != "", "%s is %s: %s", f.Name, f.State, f.Detail)
		}
	})
}

// TestProbeIsBounded has probes that do not answer, or answer with something else.
func TestProbeIsBounded(t *testing.T) {
	past, cancel := context.WithCancel(t.Context())
	cancel()
	release := make(chan struct{})
	for _, c := range []struct {
		ctx    context.Context
		within time.Duration
		try    func(context.Context, *lab) error
		want   finding
	}{
		{t.Context(), 20 * time.Millisecond, func(context.Context, *lab) error { <-release; return nil }, finding{State: unknown, Detail: "no answer after 40ms"}},
		{t.Context(), rig.Patience(), func(context.Context, *lab) error { return context.DeadlineExceeded }, finding{State: unknown, Detail: "context deadline exceeded"}},
		{past, rig.Patience(), nil, finding{State: unknown, Detail: "not tried: the earlier tests took too long (context canceled)"}},
		{t.Context(), rig.Patience(), func(context.Context, *lab) error { panic("no") }, finding{State: missing, Detail: "panic: no"}},
	} {
		assert.Equal(t, c.want, probe{try: c.try}.finding(c.ctx, t, c.within))
	}
	close(release)
}

// recorded are the files of a machine on which everything is there.
var recorded = map[string]string{
	"proc/sys/kernel/osrelease": "6.18.44\n",
	"proc/self/status":          "Name:\tforkrig\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\n",
	"proc/self/mountinfo": "22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
		"30 22 0:28 / /proc/sys/fs/binfmt_misc rw,relatime - binfmt_misc binfmt_misc rw\n",
	"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             96364                unlimited            processes \n" +
		"Max open files            1024                 524288               files     \n",
	"proc/self/cgroup": "0::/user.slice/session.scope\n", "proc/loadavg": "0.52 0.58 0.59 1/200 4242\n",
	"proc/self/ns/mnt": "", "proc/self/ns/pid": "", "proc/self/ns/net": "", "proc/self/ns/uts": "", "proc/self/ns/ipc": "", "proc/self/ns/user": "",
	"proc/sys/user/max_net_namespaces": "96364\n", "dev/null": "", "dev/shm/sem.x": "", "dev/kmsg": "",
}

// TestSigns has recorded machines on which something is different, as "file=text", and what
// is said of that. All else works.
func TestSigns(t *testing.T) {
	const absent = "absent"
	status := func(uid, capEff string) string { // with blanks, as files on one line
		return "proc/self/status=Uid:\t" + uid + "\t" + uid + "\t0\t0\nCapEff:\t" + capEff + "\nNoNewPrivs:\t0\nSeccomp:\t0\n"
	}
	ordinary := status("1000", "0000000000000000")
	for _, c := range []struct {
		files []string
		says  string // "" where everything works
	}{
		{nil, ""},
		{[]string{"proc/sys/kernel/osrelease=6.13.0-rc1"}, "limited kernel: use Linux 6.14"},
		{[]string{"proc/sys/kernel/osrelease=5.19.17"}, "limited kernel: before 6.1: hosts share; before 6.2: the fault ClockJump"},
		{[]string{"proc/sys/kernel/osrelease=5.7.0"}, "missing kernel: before 5.8: no process starts on a host"},
		{[]string{"proc/sys/kernel/osrelease=six"}, `unknown kernel: "six"`},
		{[]string{"proc/sys/kernel/osrelease=" + absent}, "missing proc: mount -t proc"},
		{[]string{ordinary}, ""},
		{[]string{status("0", "00000000a80425fb")}, "limited capabilities: effective user 0 lacks DAC_READ_SEARCH, NET_ADMIN, SYS_PTRACE, SYS_ADMIN, SYS_TIME; one user only"},
		{[]string{status("0", "00000000280425fb")}, "missing capabilities: or run as another user than root"},
		{[]string{status("0", "00000000a82435fb")}, "limited capabilities: --cap-add DAC_READ_SEARCH, SYS_PTRACE, SYS_TIME"},
		{[]string{ordinary, "proc/self/ns/user=" + absent}, "missing namespaces: CONFIG_USER_NS"},
		{[]string{"proc/self/ns/user=" + absent}, ""},
		{[]string{ordinary, "proc/sys/user/max_user_namespaces=0"}, "missing user.max_user_namespaces: sysctl -w user.max_user_namespaces=10000"},
		{[]string{"proc/sys/user/max_user_namespaces=0"}, ""},
		{[]string{"proc/sys/user/max_net_namespaces=20"}, "limited user.max_net_namespaces: the sysctl is 20"},
		{[]string{ordinary, "proc/sys/kernel/unprivileged_userns_clone=0"}, "missing kernel.unprivileged_userns_clone: or run as root"},
		{[]string{ordinary, "proc/sys/kernel/apparmor_restrict_unprivileged_userns=1"}, "limited kernel.apparmor_restrict_unprivileged_userns: sysctl -w"},
		{[]string{ordinary, "proc/self/mountinfo=23 22 0:22 / /proc/kcore rw - tmpfs tmpfs rw\n24 22 0:21 /sys /proc/sys ro - proc proc rw\n"},
			"missing proc: /proc/kcore, /proc/sys"},
		{[]string{"proc/self/mountinfo=23 22 0:22 / /proc/kcore rw,nosuid shared:1 - tmpfs tmpfs rw\n"}, ""},
		{[]string{"proc/self/status=Uid:\t1000\t1000\nCapEff:\t0\nNoNewPrivs:\t1\n"}, "limited no_new_privs: no-new-privileges"},
		{[]string{"proc/self/status=Uid:\t1000\t1000\nCapEff:\t0\nSeccomp:\t2\n"}, "limited seccomp: seccomp=unconfined"},
		{[]string{"proc/sys/kernel/yama/ptrace_scope=3"}, "limited kernel.yama.ptrace_scope: vanished-client"},
		{[]string{"proc/sys/kernel/yama/ptrace_scope=1"}, ""},
		{[]string{"sys/fs/cgroup/user.slice/pids.max=200", "sys/fs/cgroup/user.slice/session.scope/memory.max=104857600",
			"sys/fs/cgroup/user.slice/session.scope/cpu.max=50000 100000"},
			"limited cgroup: memory.max of /user.slice/session.scope is 104857600; cpu.max of /user.slice/session.scope is 0.5 processors; pids.max of /user.slice is 200"},
		{[]string{"dev/shm/sem.x=" + absent}, "missing dev: there is no /dev/shm"},
		{[]string{"proc/self/limits=Max processes  100  200000  processes\nMax open files  1024  512  files\n"}, "limited open-files: at most 512"},
		{[]string{"proc/self/limits=Max processes  100  200  processes\nMax open files  1024  5120  files\n"}, "limited processes: at most 200"},
		{[]string{"proc/loadavg=4.00 0.58"}, "limited processors: 2, with a load of 4.00"},
		{[]string{"dev/kmsg=" + absent}, "limited kernel-log: cannot read /dev/kmsg"},
	} {
		t.Run(strings.Join(c.files, " "), func(t *testing.T) {
			m := machine{root: t.TempDir(), processors: 2}
			files := maps.Clone(recorded)
			for _, file := range c.files {
				name, text, _ := strings.Cut(file, "=")
				files[name] = text
			}
			for name, text := range files {
				if text == absent {
					continue
				}
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(m.root, name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o644))
			}
			all := m.signs()
			problems := slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return f.State == works })
			start, says, found := strings.Cut(c.says, ": ")
			if !found {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1, "%v", problems)
			f := problems[0]
			assert.Equal(t, start, string(f.State)+" "+f.Name)
			for part := range strings.SplitSeq(says, "; ") {
				assert.Contains(t, strings.Join([]string{f.Detail, f.Costs, f.Remedy}, "\n"), part)
			}
			assert.Equal(t, f.State != missing, runs(all))
		})
	}
}

func TestText(t *testing.T) {
	findings := []finding{
		{Name: "ipv6", State: works, Detail: "a connection"},
		{Name: "load", State: limited, Detail: "much\x1b[2J\nmore", Costs: "time"},
		{Name: "proc", State: missing, Detail: strings.Repeat("word ", 40), Costs: "all", Remedy: "mount it"},
		{Name: "users", State: unknown, Detail: "no answer"},
	}
	const want = `missing  proc: word word word word word word word word word word word word word word word word word
         word word word word word word word word word word word word word word word word word word
         word word word word word
         costs:  all
         remedy: mount it
limited  load: much?[2J more
         costs:  time
unknown  users: no answer
works    ipv6: a connection

forkrig runs here: 1 missing, 1 limited, 1 unknown.
`
	assert.Equal(t, want, string(text(findings, false)))
	for line := range strings.Lines(want) {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), columns+1)
	}
	coloured := strings.NewReplacer("\x1b[31m", "", "\x1b[33m", "", "\x1b[35m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(string(text(findings, true)))
	assert.Equal(t, want, coloured)
	assert.Contains(t, string(text(findings[:1], false)), "\nforkrig runs here, and nothing is missing.\n")
	findings[2].Essential = true
	assert.Contains(t, string(text(findings, false)), "\nforkrig cannot run here: 1 missing, 1 limited, 1 unknown.\n")
}

// TestJoined: what was tried counts more than a sign, and signs say why nothing runs.
func TestJoined(t *testing.T) {
	covered := finding{Name: "proc", State: missing, Essential: true, Detail: "covered"}
	filter := finding{Name: "seccomp", State: limited, Essential: true}
	all := joined([]finding{covered, filter}, []finding{{Name: "sandbox", State: works, Essential: true}})
	assert.True(t, runs(all))
	assert.Equal(t, "covered; the sandbox starts all the same", all[0].Detail)
	for remedy, signs := range map[string][]finding{
		"see the remedy of proc":                                  {filter, covered},
		"do what the message says, and see the remedy of seccomp": {filter},
		"do what the message says":                                nil,
	} {
		all := joined(signs, []finding{{Name: "sandbox", State: missing, Essential: true, Remedy: "do what the message says"}})
		assert.False(t, runs(all))
		assert.Equal(t, remedy, all[len(signs)].Remedy)
	}
}
