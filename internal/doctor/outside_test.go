// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Files of a machine on which everything is there.
var recorded = map[string]string{
	"proc/sys/kernel/osrelease": "6.18.44\n",
	"proc/self/status": "Name:\tforkrig\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\n" +
		"Seccomp:\t0\n",
	"proc/self/mountinfo": "22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
		"30 22 0:28 / /proc/sys/fs/binfmt_misc rw,relatime - binfmt_misc binfmt_misc rw\n",
	"proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             96364                unlimited            processes \n" +
		"Max open files            1024                 524288               files     \n",
	"proc/self/cgroup": "0::/user.slice/session.scope\n",
	"proc/loadavg":     "0.52 0.58 0.59 1/200 4242\n",
	"proc/self/ns/mnt": "", "proc/self/ns/pid": "", "proc/self/ns/net": "",
	"proc/self/ns/uts": "", "proc/self/ns/ipc": "", "proc/self/ns/user": "",
	"proc/sys/user/max_net_namespaces": "96364\n",
	"dev/null":                         "",
	"dev/shm/sem.x":                    "",
	"dev/kmsg":                         "",
}

// ordinary is the status of a process without a capability.
const ordinary = "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n"

// absent takes a file away.
const absent = "\x00absent"

func recordedMachine(t *testing.T, changes map[string]string) machine {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{}
	for _, set := range []map[string]string{recorded, changes} {
		for name, text := range set {
			files[name] = text
		}
	}
	for name, text := range files {
		if text == absent {
			continue
		}
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return machine{root: root, system: "linux", processors: 2}
}

func TestOutsideOfRecordedMachines(t *testing.T) {
	status := func(capEff string) string {
		return "Uid:\t0\t0\t0\t0\nCapEff:\t" + capEff + "\nNoNewPrivs:\t0\nSeccomp:\t0\n"
	}
	type found struct {
		state State
		says  string // in its text
	}
	for name, c := range map[string]struct {
		files map[string]string
		// problems are all findings that do not work, by name.
		problems map[string]found
		runsNot  bool
	}{
		"everything is there": {},
		"Linux 6.13": {
			files:    map[string]string{"proc/sys/kernel/osrelease": "6.13.0-rc1"},
			problems: map[string]found{"kernel": {Limited, "use Linux 6.14"}},
		},
		"Linux 5.19": {
			files:    map[string]string{"proc/sys/kernel/osrelease": "5.19.17"},
			problems: map[string]found{"kernel": {Limited, "before 6.2: the fault ClockJump"}},
		},
		"Linux 5.8": {
			files:    map[string]string{"proc/sys/kernel/osrelease": "5.8.1"},
			problems: map[string]found{"kernel": {Limited, "before 5.9: the checks accept-errors and eintr-sweep"}},
		},
		"Linux 5.7": {
			files:    map[string]string{"proc/sys/kernel/osrelease": "5.7.0"},
			problems: map[string]found{"kernel": {Missing, "before 5.8: no process starts on a host"}},
			runsNot:  true,
		},
		"strange release": {
			files:    map[string]string{"proc/sys/kernel/osrelease": "six"},
			problems: map[string]found{"kernel": {Unknown, `"six"`}},
		},
		"no proc": {
			files:    map[string]string{"proc/sys/kernel/osrelease": absent},
			problems: map[string]found{"proc": {Missing, "mount -t proc"}},
			runsNot:  true,
		},
		"ordinary user": {files: map[string]string{"proc/self/status": ordinary}},
		"capabilities of Docker": {
			files: map[string]string{"proc/self/status": status("00000000a80425fb")},
			problems: map[string]found{
				"CAP_SYS_ADMIN, CAP_NET_ADMIN": {Limited, "CAP_SYS_ADMIN and CAP_NET_ADMIN are missing"},
			},
		},
		"capabilities of Docker, but SETFCAP": {
			files: map[string]string{"proc/self/status": status("00000000280425fb")},
			problems: map[string]found{
				"CAP_SYS_ADMIN, CAP_NET_ADMIN": {Missing, "or run as another user than root"},
			},
			runsNot: true,
		},
		"capabilities of Docker, SYS_ADMIN and NET_ADMIN": {
			files: map[string]string{"proc/self/status": status("00000000a82435fb")},
			problems: map[string]found{
				"CAP_SYS_PTRACE":      {Missing, "--cap-add SYS_PTRACE"},
				"CAP_DAC_READ_SEARCH": {Missing, "--cap-add DAC_READ_SEARCH"},
				"CAP_SYS_TIME":        {Missing, "ClockJump"},
			},
		},
		"no user namespaces": {
			files:    map[string]string{"proc/self/status": ordinary, "proc/self/ns/user": absent},
			problems: map[string]found{"namespaces": {Missing, "CONFIG_USER_NS"}},
			runsNot:  true,
		},
		"no user namespaces for root": {files: map[string]string{"proc/self/ns/user": absent}},
		"max_user_namespaces is 0": {
			files:    map[string]string{"proc/self/status": ordinary, "proc/sys/user/max_user_namespaces": "0\n"},
			problems: map[string]found{"user.max_user_namespaces": {Missing, "sysctl -w user.max_user_namespaces=10000"}},
			runsNot:  true,
		},
		"max_user_namespaces is 0 for root": {files: map[string]string{"proc/sys/user/max_user_namespaces": "0\n"}},
		"max_net_namespaces is 20": {
			files:    map[string]string{"proc/sys/user/max_net_namespaces": "20\n"},
			problems: map[string]found{"user.max_net_namespaces": {Limited, "the sysctl is 20"}},
		},
		"unprivileged_userns_clone is 0": {
			files: map[string]string{"proc/self/status": ordinary, "proc/sys/kernel/unprivileged_userns_clone": "0\n"},
			problems: map[string]found{
				"kernel.unprivileged_userns_clone": {Missing, "sysctl -w kernel.unprivileged_userns_clone=1, or run as root"},
			},
			runsNot: true,
		},
		"AppArmor": {
			files: map[string]string{"proc/self/status": ordinary, "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"},
			problems: map[string]found{
				"kernel.apparmor_restrict_unprivileged_userns": {Limited, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
			},
		},
		"covered proc": {
			files: map[string]string{
				"proc/self/status": ordinary,
				"proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n" +
					"23 22 0:22 / /proc/kcore rw,nosuid - tmpfs tmpfs rw\n24 22 0:21 /sys /proc/sys ro - proc proc rw\n",
			},
			problems: map[string]found{"proc": {Missing, "/proc/kcore, /proc/sys"}},
			runsNot:  true,
		},
		"covered proc for root": {
			files: map[string]string{"proc/self/mountinfo": "23 22 0:22 / /proc/kcore rw,nosuid shared:1 - tmpfs tmpfs rw\n"},
		},
		"container": {
			files: map[string]string{
				"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n",
				".dockerenv":       "",
			},
			problems: map[string]found{
				"no_new_privs": {Limited, "no-new-privileges"},
				"seccomp":      {Limited, "seccomp=unconfined"},
			},
		},
		"no seccomp": {
			files:    map[string]string{"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n"},
			problems: map[string]found{"seccomp": {Missing, "CONFIG_SECCOMP_FILTER"}},
		},
		"Yama": {
			files:    map[string]string{"proc/sys/kernel/yama/ptrace_scope": "3\n"},
			problems: map[string]found{"kernel.yama.ptrace_scope": {Limited, "vanished-client"}},
		},
		"Yama as usual": {files: map[string]string{"proc/sys/kernel/yama/ptrace_scope": "1\n"}},
		"cgroup": {
			files: map[string]string{
				"sys/fs/cgroup/user.slice/pids.max":                 "200\n",
				"sys/fs/cgroup/user.slice/session.scope/pids.max":   "max\n",
				"sys/fs/cgroup/user.slice/session.scope/memory.max": "104857600\n",
				"sys/fs/cgroup/user.slice/session.scope/cpu.max":    "50000 100000\n",
			},
			problems: map[string]found{"cgroup": {Limited, "memory.max of /user.slice/session.scope is 104857600; " +
				"cpu.max of /user.slice/session.scope is 0.5 processors; pids.max of /user.slice is 200"}},
		},
		"no shared memory": {
			files:    map[string]string{"dev/shm/sem.x": absent},
			problems: map[string]found{"dev": {Missing, "not there: /dev/shm"}},
			runsNot:  true,
		},
		"no dev": {
			files:    map[string]string{"dev/shm/sem.x": absent, "dev/null": absent},
			problems: map[string]found{"dev": {Missing, "not there: /dev/null, /dev/shm"}},
			runsNot:  true,
		},
		"few files and processes": {
			files: map[string]string{"proc/self/limits": "Max processes             100                  200                  processes\n" +
				"Max open files            1024                 512               files     \n"},
			problems: map[string]found{
				"open-files": {Limited, "at most 512 open files"},
				"processes":  {Limited, "at most 200 processes and threads"},
			},
		},
		"no limits": {
			files:    map[string]string{"proc/self/limits": absent},
			problems: map[string]found{"open-files": {Unknown, "does not say"}, "processes": {Unknown, "does not say"}},
		},
		"busy": {
			files:    map[string]string{"proc/loadavg": "4.00 0.58 0.59 1/200 4242\n"},
			problems: map[string]found{"processors": {Limited, "2, with a load of 4.00"}},
		},
		"no kernel log": {
			files:    map[string]string{"dev/kmsg": absent},
			problems: map[string]found{"kernel-log": {Limited, "there is no /dev/kmsg"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			findings := recordedMachine(t, c.files).findings()
			problems := map[string]bool{}
			for _, f := range findings {
				if f.State == Works {
					assert.Empty(t, f.Costs+f.Remedy, f.Name)
					continue
				}
				problems[f.Name] = true
				want, expected := c.problems[f.Name]
				if !assert.True(t, expected, "not expected: %+v", f) {
					continue
				}
				assert.Equal(t, want.state, f.State, f.Name)
				assert.Contains(t, strings.Join([]string{f.Detail, f.Costs, f.Remedy}, "\n"), want.says)
				if f.State != Unknown {
					assert.NotEmpty(t, f.Costs, f.Name)
					assert.NotEmpty(t, f.Remedy, f.Name)
				}
			}
			for name := range c.problems {
				assert.True(t, problems[name], "%s was not found", name)
			}
			assert.Equal(t, !c.runsNot, Runs(findings))
		})
	}
}

func TestOutsideOfAnotherSystem(t *testing.T) {
	findings := machine{root: t.TempDir(), system: "darwin"}.findings()
	require.Len(t, findings, 1)
	assert.Equal(t, "this is darwin", findings[0].Detail)
	assert.False(t, Runs(findings))
}

func TestContainerSigns(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"none":       {nil, "no sign of one"},
		"docker":     {map[string]string{".dockerenv": ""}, "this is one: /.dockerenv"},
		"podman":     {map[string]string{"run/.containerenv": "x"}, "this is one: /run/.containerenv"},
		"systemd":    {map[string]string{"proc/1/environ": "A=b\x00container=lxc\x00"}, "this is one: container=lxc in /proc/1/environ"},
		"kubernetes": {map[string]string{"proc/self/cgroup": "0::/kubepods/x\n"}, "this is one: kubepods in /proc/self/cgroup"},
	} {
		f := recordedMachine(t, c.files).container()
		assert.Equal(t, c.says, f.Detail, name)
		assert.Equal(t, Works, f.State, name)
	}
}

func TestWrite(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 40))
	findings := []Finding{
		{Name: "ipv6", State: Works, Detail: "a connection"},
		{Name: "load", State: Limited, Detail: "much\x1b[2J\nmore", Costs: "time"},
		{Name: "proc", State: Missing, Detail: long, Costs: "all", Remedy: "mount it"},
		{Name: "users", State: Unknown, Detail: "no answer"},
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
	var plain, coloured strings.Builder
	require.NoError(t, Write(&plain, findings, false))
	assert.Equal(t, want, plain.String())
	require.NoError(t, Write(&coloured, findings, true))
	without := coloured.String()
	for _, code := range []string{"\x1b[31m", "\x1b[33m", "\x1b[35m", "\x1b[32m"} {
		assert.Equal(t, 1, strings.Count(without, code), "%q", code)
		without = strings.ReplaceAll(without, code, "")
	}
	assert.Equal(t, want, strings.ReplaceAll(without, colourOff, ""))

	var good, bad strings.Builder
	require.NoError(t, Write(&good, findings[:1], false))
	assert.Contains(t, good.String(), "\nforkrig runs here, and nothing is missing.\n")
	findings[2].Essential = true
	require.NoError(t, Write(&bad, findings, false))
	assert.Contains(t, bad.String(), "\nforkrig cannot run here: 1 missing, 1 limited, 1 unknown.\n")
	assert.ErrorIs(t, Write(brokenWriter{}, findings, false), os.ErrClosed)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

// TestFindingsOfTheChild reads what a child may write, and how it may end.
func TestFindingsOfTheChild(t *testing.T) {
	const line = `{"Finding":{"Name":"host","State":"works","Detail":"d","Essential":true}}` + "\n"
	exit := errors.New("exit status 1")
	for name, c := range map[string]struct {
		stdout, stderr string
		ended          error
		state          State
		detail         string
		findings       int
	}{
		"good":        {stdout: line + `{"All":true}` + "\n", state: Works, detail: "it starts, and leaves nothing behind", findings: 1},
		"not started": {stderr: "forkrig: start the sandbox: no\n", ended: exit, state: Missing, detail: "it does not start: start the sandbox: no"},
		"silent":      {ended: exit, state: Missing, detail: "it does not start: exit status 1"},
		"ended early": {stdout: "noise\n" + line + `{"Find`, stderr: "a\nb\nforkrig: c\nd\n", ended: exit, state: Limited,
			detail: "the trial ended early: b; c; d", findings: 1},
		"left something": {stdout: line + `{"All":true}` + "\n", stderr: "forkrig: a process was left behind\n", ended: exit,
			state: Limited, detail: "a process was left behind", findings: 1},
	} {
		got := findingsOf([]byte(c.stdout), c.stderr, c.ended)
		require.Len(t, got, 1+c.findings, name)
		assert.Equal(t, c.state, got[0].State, name)
		assert.Equal(t, c.detail, got[0].Detail, name)
		assert.Equal(t, c.state != Missing, Runs(got), name)
		if c.findings > 0 {
			assert.Equal(t, Finding{Name: "host", State: Works, Detail: "d", Essential: true}, got[1], name)
		}
	}
}

// TestTrialCountsMoreThanSigns joins findings from outside and inside.
func TestTrialCountsMoreThanSigns(t *testing.T) {
	covered := Finding{Name: "proc", State: Missing, Essential: true, Detail: "covered"}
	filter := Finding{Name: "seccomp", State: Limited, Essential: true}
	busy := Finding{Name: "processors", State: Limited}
	starts := Finding{Name: "sandbox", State: Works, Essential: true}
	fails := Finding{Name: "sandbox", State: Missing, Essential: true, Remedy: "do what the message says"}

	all := merged([]Finding{covered, filter}, []Finding{starts})
	assert.True(t, Runs(all))
	assert.Equal(t, Works, all[0].State)
	assert.Equal(t, "covered; the sandbox starts all the same", all[0].Detail)

	for remedy, signs := range map[string][]Finding{
		"see the remedy of proc":                                  {filter, covered, busy},
		"do what the message says, and see the remedy of seccomp": {busy, filter},
		"do what the message says":                                {busy},
	} {
		all := merged(signs, []Finding{fails})
		assert.False(t, Runs(all))
		assert.Equal(t, signs, all[:len(signs)])
		assert.Equal(t, remedy, all[len(signs)].Remedy)
	}
}

func TestStatesInText(t *testing.T) {
	for s := Missing; s <= Works; s++ {
		text, err := s.MarshalText()
		require.NoError(t, err)
		var back State
		require.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, s, back)
	}
	var s State
	assert.ErrorContains(t, s.UnmarshalText([]byte("fine")), `"fine" is none of [missing limited unknown works]`)
	assert.Equal(t, "State(9)", State(9).String())
}
