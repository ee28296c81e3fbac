// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// signs returns what can be seen of the machine without a sandbox. It changes nothing and
// needs no privilege. On a system other than Linux it returns one finding.
func signs() []finding {
	if runtime.GOOS != "linux" {
		return []finding{{Name: "operating-system", State: missing, Essential: true, Detail: "this is " + runtime.GOOS,
			Costs: nothingRuns, Remedy: "run forkrig on Linux, on another machine or in a virtual one"}}
	}
	return machine{"/", runtime.NumCPU()}.signs()
}

// machine is where signs are looked for. Tests give it a directory with recorded files.
type machine struct {
	root       string // of /proc, /dev and /sys
	processors int
}

func (m machine) signs() []finding {
	if m.read("proc/sys/kernel/osrelease") == "" {
		return []finding{{Name: "proc", State: missing, Essential: true, Detail: "there is no /proc, or it is empty",
			Costs: nothingRuns, Remedy: "mount it: mount -t proc proc /proc"}}
	}
	all := []finding{m.kernel(), m.capabilities()}
	all = append(all, m.namespaces()...)
	for _, s := range simpleSigns {
		state, detail := s.look(m)
		f := finding{Name: s.name, State: state, Detail: detail, Costs: s.costs, Remedy: s.remedy, Essential: s.essential}
		if s.essential && state == missing {
			f.Costs = nothingRuns
		}
		all = append(all, f.working(state == works))
	}
	return all
}

// read returns the text of a file without space around it, or "" where it cannot be read.
func (m machine) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(m.root, name))
	return strings.TrimSpace(string(text))
}

func (m machine) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(m.root, name))
	return err == nil
}

// number returns the number in a file, or without one what is given instead.
func (m machine) number(name string, instead int) int {
	n, err := strconv.Atoi(m.read(name))
	if err != nil {
		return instead
	}
	return n
}

// fields returns what stands after a name and colon or space in a file, as words.
func (m machine) fields(file, name string) []string {
	for line := range strings.Lines(m.read(file)) {
		if rest, is := strings.CutPrefix(line, name); is {
			return strings.Fields(rest)
		}
	}
	return nil
}

// status returns a number of /proc/self/status, and without one -1.
func (m machine) status(name string, column, base int) int64 {
	if fields := m.fields("proc/self/status", name+":"); column < len(fields) {
		if n, err := strconv.ParseInt(fields[column], base, 64); err == nil {
			return n
		}
	}
	return -1
}

// kernelSteps are the releases that brought something the rig uses.
var kernelSteps = []struct {
	major, minor int
	essential    bool
	costs        string
}{
	{5, 8, true, "no process starts on a host (setns(2) with a pidfd)"},
	{5, 9, false, "the checks accept-aborted, accept-short and eintr-sweep, and all of rig/inject (seccomp user notification)"},
	{5, 19, false, "a signal can make a trapped system call happen twice in rig/inject"},
	{6, 1, false, "hosts share one table of TCP sockets, so that looking at sockets is slower"},
	{6, 2, false, "the fault ClockJump and Command.ClockOffset (time namespaces are entered by execve)"},
	{6, 14, false, "a host has no limit on processes of its own; the rig counts them and ends a host with too many"},
}

func (m machine) kernel() finding {
	text := m.read("proc/sys/kernel/osrelease")
	f := finding{Name: "kernel", State: works, Detail: "Linux " + text}
	var major, minor int
	if _, err := fmt.Sscanf(text, "%d.%d", &major, &minor); err != nil {
		f.State, f.Detail = unknown, fmt.Sprintf("%q is not a release of Linux", text)
		return f
	}
	for _, step := range kernelSteps {
		if cmp.Or(cmp.Compare(major, step.major), cmp.Compare(minor, step.minor)) >= 0 {
			continue
		}
		f.Costs = strings.TrimPrefix(fmt.Sprintf("%s; before %d.%d: %s", f.Costs, step.major, step.minor, step.costs), "; ")
		f.Remedy = fmt.Sprintf("use Linux %d.%d or later", step.major, step.minor)
		if f.State == works {
			f.State = limited
		}
		if step.essential {
			f.State, f.Essential = missing, true
		}
	}
	return f
}

// capabilities are those that the rig uses as root (capabilities(7), linux/capability.h).
var capabilities = []struct {
	number int
	name   string
}{{2, "DAC_READ_SEARCH"}, {5, "KILL"}, {6, "SETGID"}, {7, "SETUID"}, {12, "NET_ADMIN"}, {13, "NET_RAW"},
	{18, "SYS_CHROOT"}, {19, "SYS_PTRACE"}, {21, "SYS_ADMIN"}, {25, "SYS_TIME"}, {31, "SETFCAP"}}

// lacking returns those of the capabilities that this process does not have.
func (m machine) lacking() (names []string) {
	has := m.status("CapEff", 0, 16)
	for _, c := range capabilities {
		if has&(1<<c.number) == 0 {
			names = append(names, c.name)
		}
	}
	return names
}

// needsUserNamespace says whether the sandbox is made in a user namespace, as package rig
// decides it.
func (m machine) needsUserNamespace() bool {
	lacking := m.lacking()
	return slices.Contains(lacking, "SYS_ADMIN") || slices.Contains(lacking, "NET_ADMIN")
}

// capabilities says which are not there. In a user namespace the sandbox has them all.
func (m machine) capabilities() finding {
	user, lacking := m.status("Uid", 1, 10), m.lacking()
	names := strings.Join(lacking, ", ")
	f := finding{Name: "capabilities", State: limited, Detail: fmt.Sprintf("effective user %d lacks %s", user, names),
		Costs: "the features that are missing below", Remedy: "give them (in a container: --cap-add " + names + ")"}
	switch {
	case lacking == nil || slices.Equal(lacking, []string{"SETFCAP"}) && !m.needsUserNamespace():
		f.Detail = fmt.Sprintf("effective user %d has all that the rig uses", user)
		return f.working(true)
	case m.needsUserNamespace() && user != 0:
		f.Detail = fmt.Sprintf("effective user %d; the sandbox is made in a user namespace, and has its own", user)
		return f.working(true)
	case m.needsUserNamespace():
		f.Costs = "the sandbox needs a user namespace and has one user only: no -subject-user, no Command.User"
		f.Remedy = "give CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
		if slices.Contains(lacking, "SETFCAP") { // user_namespaces(7), Linux 5.12
			f.State, f.Essential, f.Costs = missing, true, nothingRuns+" (without SETFCAP root cannot make a user namespace)"
			f.Remedy += ", or run as another user than root"
		}
	case slices.Contains(lacking, "SYS_CHROOT"):
		f.State, f.Essential, f.Costs = missing, true, nothingRuns+" (setns(2) with a mount namespace needs SYS_CHROOT)"
	}
	return f
}

// fewHosts is a number of hosts that a run needs side by side on a machine with many
// processors: below it a limit is told.
const fewHosts = 100

// namespaces is about the kinds of namespaces, their limits, and sysctls that forbid them.
func (m machine) namespaces() []finding {
	var all []finding
	kinds := []string{"mnt", "pid", "net", "uts", "ipc"}
	if m.needsUserNamespace() {
		kinds = append(kinds, "user")
		if m.number("proc/sys/kernel/unprivileged_userns_clone", 1) == 0 {
			all = append(all, finding{Name: "kernel.unprivileged_userns_clone", State: missing, Essential: true, Costs: nothingRuns,
				Detail: "the sysctl is 0: only root may make user namespaces",
				Remedy: "sysctl -w kernel.unprivileged_userns_clone=1, or run as root (sudo)"})
		}
		if m.number("proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) != 0 {
			all = append(all, finding{Name: "kernel.apparmor_restrict_unprivileged_userns", State: limited, Essential: true,
				Detail: "the sysctl is 1: AppArmor takes the capabilities away from user namespaces of programs without a profile",
				Costs:  "if no profile allows it, " + nothingRuns,
				Remedy: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root (sudo)"})
		}
	}
	for _, kind := range kinds {
		if !m.exists("proc/self/ns/" + kind) {
			all = append(all, finding{Name: "namespaces", State: missing, Essential: true, Costs: nothingRuns,
				Detail: "the kernel does not have the kind " + kind,
				Remedy: "use a kernel with CONFIG_NAMESPACES and CONFIG_" + strings.ToUpper(kind) + "_NS"})
		}
		limit := "user.max_" + kind + "_namespaces"
		f := finding{Name: limit, Remedy: fmt.Sprintf("sysctl -w %s=10000 (as root of the machine)", limit)}
		switch n := m.number("proc/sys/user/max_"+kind+"_namespaces", fewHosts); {
		case n == 0:
			f.State, f.Essential, f.Costs, f.Detail = missing, true, nothingRuns, "the sysctl is 0: such a namespace cannot be made"
		case n < fewHosts && slices.Contains([]string{"mnt", "pid", "net"}, kind):
			f.State, f.Detail = limited, fmt.Sprintf("the sysctl is %d", n)
			f.Costs = "each host needs one: not all hosts of all labs can exist at the same time"
			f.Remedy += ", or run fewer checks side by side: -parallel"
		default:
			continue
		}
		all = append(all, f)
	}
	if all == nil {
		all = []finding{{Name: "namespaces", State: works, Detail: "the kernel has " + strings.Join(kinds, ", ")}}
	}
	return all
}

const (
	fewThreads   = 1_000 // a run of the checks has some hundreds at a time
	fewFiles     = 1_024
	littleMemory = 512 << 20 // bytes
)

// simpleSigns each say one thing.
var simpleSigns = []struct {
	name          string
	essential     bool
	costs, remedy string
	look          func(machine) (state, string)
}{
	{"proc", true, nothingRuns, "uncover it (docker run --security-opt systempaths=unconfined; Kubernetes procMount: Unmasked), " +
		"or run as root with CAP_SYS_ADMIN and CAP_NET_ADMIN", machine.proc},
	{"dev", true, nothingRuns, "mount a whole /dev, or make what is missing: mkdir -p /dev/shm; mknod -m 666 /dev/null c 1 3",
		func(m machine) (state, string) {
			for _, name := range []string{"/dev/null", "/dev/shm"} {
				if !m.exists(name) {
					return missing, "there is no " + name
				}
			}
			return works, "/dev/null and the directory /dev/shm are there"
		}},
	{"no_new_privs", false, "programs with a set-user-ID bit or file capabilities gain no privilege: no sudo, no ping, also in subjects",
		"start without it (docker: no --security-opt no-new-privileges; Kubernetes: allowPrivilegeEscalation; systemd: NoNewPrivileges=no)",
		func(m machine) (state, string) {
			if m.status("NoNewPrivs", 0, 10) == 1 {
				return limited, "set for this process and all that it starts"
			}
			return works, "not set"
		}},
	{"seccomp", true, "the filter may forbid system calls that the rig needs (clone, unshare, mount, setns, pidfd_getfd)",
		"if the sandbox or a feature is missing: docker run --security-opt seccomp=unconfined; Kubernetes seccompProfile: Unconfined",
		func(m machine) (state, string) {
			if mode := m.status("Seccomp", 0, 10); mode > 0 {
				return limited, fmt.Sprintf("a filter is on this process (mode %d), as in a container", mode)
			}
			return works, "no filter on this process"
		}},
	{"kernel.yama.ptrace_scope", false, "the check vanished-client, and what a subject's processes wait for (pidfd_getfd(2), /proc/PID/syscall)",
		"set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d, and reboot: 3 cannot be changed while the machine runs",
		func(m machine) (state, string) {
			if m.number("proc/sys/kernel/yama/ptrace_scope", 0) >= 3 {
				return limited, "the sysctl is 3"
			}
			return works, "the sysctl is below 3, or not there"
		}},
	{"cgroup", false, "a subject with many workers reaches the limit on processes, the kernel kills for lack of memory, or everything is slower",
		"raise the limit (docker run --pids-limit, --memory, --cpus; systemd: TasksMax, MemoryMax, CPUQuota)", machine.cgroup},
	{"open-files", false, "a host needs three descriptors, and each client connection one: checks with many connections are broken",
		fmt.Sprintf("raise the hard limit to %d or more (ulimit -Hn; docker run --ulimit nofile=%[1]d)", 16*fewFiles),
		func(m machine) (state, string) { return m.limit("Max open files", fewFiles) }},
	{"processes", false, "a subject with many workers, and storms, get EAGAIN from fork",
		fmt.Sprintf("raise the hard limit to %d or more (ulimit -Hu; docker run --ulimit nproc=%[1]d)", 4*fewThreads),
		func(m machine) (state, string) { return m.limit("Max processes", fewThreads) }},
	{"processors", false, "everything is slower, and deadlines are longer; no verdict changes",
		"wait until other programs have ended, or run fewer checks side by side: -parallel 1",
		func(m machine) (state, string) {
			var load float64
			_, _ = fmt.Sscan(m.read("proc/loadavg"), &load) // without it the load is 0
			detail := fmt.Sprintf("%d, with a load of %.2f", m.processors, load)
			if load >= float64(2*m.processors) { // times as many runnable threads as processors
				return limited, detail
			}
			return works, detail
		}},
	{"kernel-log", false, "CI cannot look for crashes of workers; no check needs it",
		"run as root with CAP_SYSLOG, or sysctl -w kernel.dmesg_restrict=0; in a container: docker run --device /dev/kmsg",
		func(m machine) (state, string) {
			file, err := os.OpenFile(filepath.Join(m.root, "dev/kmsg"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				return limited, "this process cannot read /dev/kmsg, or there is none"
			}
			file.Close()
			return works, "/dev/kmsg can be read"
		}},
}

// proc is about what covers parts of /proc (proc_pid_mountinfo(5)). The kernel refuses a
// new /proc to a user namespace where the old one is covered in part (mount_too_revealing
// in fs/namespace.c).
func (m machine) proc() (state, string) {
	var covered []string
	for line := range strings.Lines(m.read("proc/self/mountinfo")) {
		const mountPoint = 4
		if fields := strings.Fields(line); len(fields) > mountPoint && strings.HasPrefix(fields[mountPoint], "/proc/") &&
			// These two directories are there for a mount, and empty otherwise.
			fields[mountPoint] != "/proc/sys/fs/binfmt_misc" && fields[mountPoint] != "/proc/fs/nfsd" {
			covered = append(covered, fields[mountPoint])
		}
	}
	if covered == nil {
		return works, "/proc is whole"
	}
	detail := "parts of /proc are covered by other mounts, as in a container: " + strings.Join(slices.Compact(covered[:min(len(covered), 4)]), ", ")
	if !m.needsUserNamespace() {
		return works, detail // root of the machine may mount a new one
	}
	return missing, detail
}

// cgroup is about the limits of the control group of this process (version 2), and of
// those above it.
func (m machine) cgroup() (state, string) {
	var limits []string
	for group := "/" + strings.Join(m.fields("proc/self/cgroup", "0::/"), ""); ; group = path.Dir(group) {
		for _, l := range []struct {
			name string
			less int
		}{{"pids.max", fewThreads}, {"memory.max", littleMemory}} {
			if n := m.number(filepath.Join("sys/fs/cgroup", group, l.name), l.less); n < l.less {
				limits = append(limits, fmt.Sprintf("%s of %s is %d", l.name, group, n))
			}
		}
		var quota, period float64
		if n, _ := fmt.Sscanf(m.read(filepath.Join("sys/fs/cgroup", group, "cpu.max")), "%g %g", &quota, &period); n == 2 && quota < period {
			limits = append(limits, fmt.Sprintf("cpu.max of %s is %.2g processors", group, quota/period))
		}
		if group == "/" {
			break
		}
	}
	if limits == nil {
		return works, "no limit that matters"
	}
	return limited, strings.Join(limits, "; ")
}

// limit is about the hard limit in a line of /proc/self/limits (proc_pid_limits(5)).
func (m machine) limit(name string, least int) (state, string) {
	fields := m.fields("proc/self/limits", name+" ")
	if len(fields) < 2 {
		return unknown, "/proc/self/limits does not say"
	}
	n, err := strconv.Atoi(fields[1])
	if err == nil && n < least {
		return limited, fmt.Sprintf("at most %d", n)
	}
	return works, "at most " + fields[1]
}
