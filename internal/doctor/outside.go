// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
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

// Outside returns what can be seen of the machine without a sandbox. It changes
// nothing and needs no privilege. On a system other than Linux it returns one finding.
func Outside() []Finding {
	return machine{root: "/", system: runtime.GOOS, processors: runtime.NumCPU()}.findings()
}

// machine is where Outside looks. Tests give it a directory with recorded files.
type machine struct {
	root       string // of /proc, /dev and /sys
	system     string // as in runtime.GOOS
	processors int
}

func (m machine) findings() []Finding {
	if m.system != "linux" {
		return []Finding{{
			Name: "operating-system", State: Missing, Essential: true, Detail: "this is " + m.system,
			Costs: nothingRuns, Remedy: "run forkrig on Linux, on another machine or in a virtual one",
		}}
	}
	if m.read("proc/sys/kernel/osrelease") == "" {
		return []Finding{{
			Name: "proc", State: Missing, Essential: true, Detail: "there is no /proc, or it is empty",
			Costs: nothingRuns, Remedy: "mount it: mount -t proc proc /proc",
		}}
	}
	p := m.privileges()
	all := []Finding{m.kernel(), p.user()}
	all = append(all, p.capabilities()...)
	all = append(all, m.namespaces(p)...)
	return append(all,
		m.proc(p), p.newPrivileges(), p.seccomp(), m.ptraceScope(), m.container(), m.cgroup(), m.devices(),
		m.openFiles(), m.userProcesses(), m.load(), m.kernelLog())
}

const nothingRuns = "no check, no search and no scenario can run"

// read returns the text of a file without space around it, or "" where it cannot be
// read.
func (m machine) read(name string) string {
	text, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (m machine) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(m.root, name))
	return err == nil
}

// number returns the number in a file. Where there is none, known is false.
func (m machine) number(name string) (n int, known bool) {
	n, err := strconv.Atoi(m.read(name))
	return n, err == nil
}

// works returns f in the state Works where fine, and otherwise f as it is.
func works(fine bool, f Finding) Finding {
	if fine {
		f.State, f.Costs, f.Remedy = Works, "", ""
	}
	return f
}

// release is the number of a kernel.
type release struct{ major, minor int }

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

func (r release) before(other release) bool {
	return r.major < other.major || r.major == other.major && r.minor < other.minor
}

// kernelSteps are the releases that brought something the rig uses.
var kernelSteps = []struct {
	release   release
	essential bool
	costs     string
}{
	{release{5, 8}, true, "no process starts on a host (setns(2) with a pidfd)"},
	{release{5, 9}, false, "the checks accept-errors and eintr-sweep, and all of rig/inject (seccomp user notification)"},
	{release{5, 19}, false, "a signal can make a trapped system call happen twice in rig/inject"},
	{release{6, 1}, false, "hosts share one table of TCP sockets, so that looking at sockets is slower"},
	{release{6, 2}, false, "the fault ClockJump and Command.ClockOffset (time namespaces are entered by execve)"},
	{release{6, 14}, false, "a host has no limit on processes of its own; the rig counts them and ends a host with too many"},
}

func (m machine) kernel() Finding {
	text := m.read("proc/sys/kernel/osrelease")
	f := Finding{Name: "kernel", State: Works, Detail: "Linux " + text}
	var is release
	if _, err := fmt.Sscanf(text, "%d.%d", &is.major, &is.minor); err != nil {
		f.State, f.Detail = Unknown, fmt.Sprintf("%q is not a release of Linux", text)
		return f
	}
	var costs []string
	for _, step := range kernelSteps {
		if !is.before(step.release) {
			continue
		}
		costs = append(costs, fmt.Sprintf("before %v: %s", step.release, step.costs))
		if f.State == Works {
			f.State = Limited
		}
		if step.essential {
			f.State, f.Essential = Missing, true
		}
		f.Remedy = fmt.Sprintf("use Linux %v or later", step.release)
	}
	f.Costs = strings.Join(costs, "; ")
	return f
}

// Numbers of capabilities (capabilities(7), linux/capability.h).
var capabilities = []struct {
	name   string
	number int
	costs  string
}{
	{"CAP_SETGID", 6, otherUser},
	{"CAP_SETUID", 7, otherUser},
	{"CAP_KILL", 5, "-subject-user: the rig cannot send signals to a subject of another user, nor stop it"},
	{"CAP_DAC_READ_SEARCH", 2, "-subject-user: descriptors of the subject's processes cannot be read, so that no check can judge it"},
	{"CAP_SYS_PTRACE", 19, "-subject-user, and the check fork-failure, which runs the subject as another user: descriptors, " +
		"waits and socket options of its processes cannot be read. With Docker's seccomp profile also vanished-client"},
	{"CAP_SYS_CHROOT", capSysChroot, "no process starts on a host (setns(2) with a mount namespace)"},
	{"CAP_NET_RAW", 13, "the fault Impairment without InKernel (packet sockets)"},
	{"CAP_SYS_TIME", 25, "the fault ClockJump and Command.ClockOffset"},
}

const otherUser = "-subject-user and Command.User: no process starts as another user; fork-failure is skipped for some subjects"

const (
	capSetfcap  = 31
	capNetAdmin = 12
	capSysAdmin = 21

	capSysChroot = 18
)

// privileges are those of this process, from /proc/self/status.
type privileges struct {
	uid          int // the effective one
	effective    uint64
	noNewPrivs   bool
	seccompMode  int
	knownSeccomp bool
}

func (m machine) privileges() privileges {
	p := privileges{uid: -1}
	for line := range strings.Lines(m.read("proc/self/status")) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case len(fields) == 0:
		case name == "Uid" && len(fields) > 1:
			if uid, err := strconv.Atoi(fields[1]); err == nil {
				p.uid = uid
			}
		case name == "CapEff":
			p.effective, _ = strconv.ParseUint(fields[0], 16, 64) // an error: none is known
		case name == "NoNewPrivs":
			p.noNewPrivs = fields[0] == "1"
		case name == "Seccomp":
			mode, err := strconv.Atoi(fields[0])
			p.seccompMode, p.knownSeccomp = mode, err == nil
		}
	}
	return p
}

func (p privileges) has(capability int) bool { return p.effective&(1<<capability) != 0 }

// needsUserNamespace says whether the sandbox is made in a user namespace, as
// package rig decides it.
func (p privileges) needsUserNamespace() bool { return !p.has(capSysAdmin) || !p.has(capNetAdmin) }

func (p privileges) user() Finding {
	f := Finding{Name: "user", State: Works, Detail: fmt.Sprintf("effective user %d", p.uid)}
	if p.needsUserNamespace() {
		f.Detail += "; the sandbox is made in a user namespace"
	}
	return f
}

// capabilities are about a sandbox without a user namespace. In one with a user
// namespace the process has them all.
func (p privileges) capabilities() []Finding {
	if p.needsUserNamespace() {
		if p.uid != 0 {
			return []Finding{{
				Name: "capabilities", State: Works,
				Detail: "CAP_SYS_ADMIN and CAP_NET_ADMIN are not both there; the sandbox has its own in its user namespace",
			}}
		}
		lacks := "CAP_SYS_ADMIN and CAP_NET_ADMIN are"
		switch {
		case p.has(capSysAdmin):
			lacks = "CAP_NET_ADMIN is"
		case p.has(capNetAdmin):
			lacks = "CAP_SYS_ADMIN is"
		}
		f := Finding{
			Name: "CAP_SYS_ADMIN, CAP_NET_ADMIN", State: Limited, Detail: "this is root, and " + lacks + " missing",
			Costs:  "the sandbox needs a user namespace and has one user only: no -subject-user, no Command.User",
			Remedy: "give both (in a container: --cap-add SYS_ADMIN --cap-add NET_ADMIN)",
		}
		if !p.has(capSetfcap) {
			f.State, f.Essential = Missing, true
			f.Detail += ", and so is CAP_SETFCAP, without which root cannot make a user namespace"
			f.Costs = nothingRuns
			f.Remedy += ", or run as another user than root"
		}
		return []Finding{f}
	}
	var lacking []Finding
	for _, c := range capabilities {
		if !p.has(c.number) {
			lacking = append(lacking, Finding{
				Name: c.name, State: Missing, Essential: c.number == capSysChroot, Detail: "this process does not have it", Costs: c.costs,
				Remedy: "give it (in a container: --cap-add " + strings.TrimPrefix(c.name, "CAP_") + ")",
			})
		}
	}
	if lacking == nil {
		return []Finding{{Name: "capabilities", State: Works, Detail: "all that the rig uses"}}
	}
	return lacking
}

// namespaces is about the kinds of namespaces and their limits.
func (m machine) namespaces(p privileges) []Finding {
	var all []Finding
	kinds := []string{"mnt", "pid", "net", "uts", "ipc"}
	if p.needsUserNamespace() {
		kinds = append(kinds, "user")
		all = m.userNamespaces()
	}
	var absent, none []string
	few := map[string]int{}
	for _, kind := range kinds {
		if !m.exists("proc/self/ns/" + kind) {
			absent = append(absent, strings.ToUpper(kind))
		}
		limit := "user.max_" + kind + "_namespaces"
		switch n, known := m.number("proc/sys/" + strings.Replace(limit, ".", "/", 1)); {
		case !known:
		case n == 0:
			none = append(none, limit)
		case kind == "net" && n < fewHosts || kind == "pid" && n < fewHosts || kind == "mnt" && n < fewHosts:
			few[limit] = n
		}
	}
	if absent != nil {
		all = append(all, Finding{
			Name: "namespaces", State: Missing, Essential: true, Costs: nothingRuns,
			Detail: "the kernel does not have these kinds: " + strings.Join(absent, ", "),
			Remedy: "use a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS, CONFIG_PID_NS, CONFIG_USER_NS, CONFIG_UTS_NS and CONFIG_IPC_NS",
		})
	}
	for _, limit := range none {
		all = append(all, Finding{
			Name: limit, State: Missing, Essential: true, Detail: "the sysctl is 0: such a namespace cannot be made",
			Costs: nothingRuns, Remedy: fmt.Sprintf("sysctl -w %s=10000 (as root of the machine)", limit),
		})
	}
	for _, kind := range kinds {
		limit := "user.max_" + kind + "_namespaces"
		if n, is := few[limit]; is {
			all = append(all, Finding{
				Name: limit, State: Limited, Detail: fmt.Sprintf("the sysctl is %d", n),
				Costs:  "a host takes one: not all hosts of all labs can be there at the same time",
				Remedy: fmt.Sprintf("sysctl -w %s=10000 (as root of the machine), or run fewer checks side by side: -parallel", limit),
			})
		}
	}
	if all == nil {
		all = []Finding{{Name: "namespaces", State: Works, Detail: "the kernel has " + strings.Join(kinds, ", ")}}
	}
	return all
}

// fewHosts is a number of hosts that a run needs side by side on a machine with many
// processors: below it a limit is told.
const fewHosts = 100

// userNamespaces is about sysctls that forbid user namespaces. Not every kernel has
// them.
func (m machine) userNamespaces() []Finding {
	var all []Finding
	if n, known := m.number("proc/sys/kernel/unprivileged_userns_clone"); known && n == 0 {
		all = append(all, Finding{
			Name: "kernel.unprivileged_userns_clone", State: Missing, Essential: true,
			Detail: "the sysctl is 0: only root may make user namespaces", Costs: nothingRuns,
			Remedy: "sysctl -w kernel.unprivileged_userns_clone=1, or run as root (sudo)",
		})
	}
	if n, known := m.number("proc/sys/kernel/apparmor_restrict_unprivileged_userns"); known && n != 0 {
		all = append(all, Finding{
			Name: "kernel.apparmor_restrict_unprivileged_userns", State: Limited, Essential: true,
			Detail: "the sysctl is 1: AppArmor takes the capabilities away from user namespaces of programs without a profile",
			Costs:  "if no profile allows it, " + nothingRuns,
			Remedy: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root (sudo)",
		})
	}
	return all
}

// proc is about what covers parts of /proc. The kernel refuses a new /proc to a user
// namespace where the old one is covered in part (mount_too_revealing in
// fs/namespace.c).
func (m machine) proc(p privileges) Finding {
	f := Finding{Name: "proc", State: Limited, Detail: "/proc is whole"}
	covered := coverOf(m.read("proc/self/mountinfo"))
	if len(covered) == 0 {
		return works(true, f)
	}
	f.Detail = "parts of /proc are covered by other mounts, as in a container: " + shortList(covered, 4)
	if !p.needsUserNamespace() {
		return works(true, f) // root of the machine may mount a new one
	}
	f.State, f.Essential = Missing, true
	f.Costs = nothingRuns + " (the sandbox needs a /proc of its own)"
	f.Remedy = "uncover it (docker run --security-opt systempaths=unconfined; Kubernetes procMount: Unmasked), " +
		"or run as root with CAP_SYS_ADMIN and CAP_NET_ADMIN"
	return f
}

// coverOf reads a mountinfo file (proc_pid_mountinfo(5)), and returns the mount points
// below /proc that hide something.
func coverOf(mountinfo string) (covered []string) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		const mountPoint = 4
		if len(fields) <= mountPoint {
			continue
		}
		switch point := fields[mountPoint]; {
		case !strings.HasPrefix(point, "/proc/"), slices.Contains(covered, point):
		case point == "/proc/sys/fs/binfmt_misc" || point == "/proc/fs/nfsd":
			// These directories are there for a mount, and empty otherwise.
		default:
			covered = append(covered, point)
		}
	}
	return covered
}

func shortList(all []string, most int) string {
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

func (p privileges) newPrivileges() Finding {
	f := Finding{
		Name: "no_new_privs", State: Limited, Detail: "not set",
		Costs:  "programs with a set-user-ID bit or file capabilities gain no privilege: no sudo, no ping, also in subjects",
		Remedy: "start without it (docker: no --security-opt no-new-privileges; Kubernetes: allowPrivilegeEscalation; systemd: NoNewPrivileges=no)",
	}
	if p.noNewPrivs {
		f.Detail = "set for this process and all that it starts"
	}
	return works(!p.noNewPrivs, f)
}

func (p privileges) seccomp() Finding {
	f := Finding{Name: "seccomp", State: Limited, Detail: "no filter on this process"}
	switch {
	case !p.knownSeccomp:
		f.State, f.Detail = Missing, "the kernel was built without CONFIG_SECCOMP"
		f.Costs = "the checks accept-errors and eintr-sweep, and all of rig/inject"
		f.Remedy = "use a kernel with CONFIG_SECCOMP_FILTER"
		return f
	case p.seccompMode != 0:
		f.Detail = fmt.Sprintf("a filter is on this process (mode %d), as in a container", p.seccompMode)
		f.Costs = "the filter may forbid system calls that the rig needs (clone, unshare, mount, setns, pidfd_getfd)"
		f.Essential = true
		f.Remedy = "if the sandbox or a feature is missing: docker run --security-opt seccomp=unconfined; Kubernetes seccompProfile: Unconfined"
	}
	return works(p.seccompMode == 0, f)
}

// ptraceScope is about the security module Yama. Its level 3 forbids to attach to any
// process, also to root.
func (m machine) ptraceScope() Finding {
	n, known := m.number("proc/sys/kernel/yama/ptrace_scope")
	f := Finding{
		Name: "kernel.yama.ptrace_scope", State: Limited, Detail: "not on this kernel",
		Costs: "the check vanished-client, and what a subject's processes wait for (pidfd_getfd(2), /proc/PID/syscall)",
		Remedy: "set kernel.yama.ptrace_scope to 2 or less in /etc/sysctl.d, and start the machine again: " +
			"3 cannot be changed while it runs",
	}
	if known {
		f.Detail = fmt.Sprintf("the sysctl is %d", n)
	}
	return works(n < 3, f)
}

// container says whether this is one. That alone is no harm.
func (m machine) container() Finding {
	f := Finding{Name: "container", State: Works, Detail: "no sign of one"}
	var signs []string
	for _, file := range []string{".dockerenv", "run/.containerenv"} {
		if m.exists(file) {
			signs = append(signs, "/"+file)
		}
	}
	for variable := range strings.SplitSeq(m.read("proc/1/environ"), "\x00") {
		if kind, is := strings.CutPrefix(variable, "container="); is {
			signs = append(signs, "container="+kind+" in /proc/1/environ")
		}
	}
	if m.exists("var/run/secrets/kubernetes.io") || m.exists("run/secrets/kubernetes.io") {
		signs = append(signs, "/var/run/secrets/kubernetes.io")
	}
	for _, runtime := range []string{"docker", "kubepods", "libpod", "lxc", "containerd"} {
		if strings.Contains(m.read("proc/self/cgroup"), runtime) {
			signs = append(signs, runtime+" in /proc/self/cgroup")
		}
	}
	if signs != nil {
		f.Detail = "this is one: " + strings.Join(signs, ", ")
	}
	return f
}

const (
	fewThreads   = 1_000     // a run of the checks has some hundreds at a time
	littleMemory = 512 << 20 // bytes
)

// cgroup is about the limits of the control group of this process (version 2).
func (m machine) cgroup() Finding {
	f := Finding{Name: "cgroup", State: Limited, Detail: "no limit that matters"}
	group := "/"
	for line := range strings.Lines(m.read("proc/self/cgroup")) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "0::"); is {
			group = name
		}
	}
	var limits, costs []string
	for { // a limit of a group above counts, too
		limit := func(name string) (value string, n int64) {
			value = m.read(filepath.Join("sys/fs/cgroup", group, name))
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return value, -1
			}
			return value, n
		}
		if value, n := limit("pids.max"); n >= 0 && n < fewThreads {
			limits = append(limits, fmt.Sprintf("pids.max of %s is %s", group, value))
			costs = append(costs, "a subject with many workers, and storms, reach the limit of processes and threads")
		}
		if value, n := limit("memory.max"); n >= 0 && n < littleMemory {
			limits = append(limits, fmt.Sprintf("memory.max of %s is %s", group, value))
			costs = append(costs, "the kernel may kill processes for lack of memory")
		}
		value, _ := limit("cpu.max")
		var quota, period float64
		if _, err := fmt.Sscanf(value, "%g %g", &quota, &period); err == nil && period > 0 && quota < period {
			limits = append(limits, fmt.Sprintf("cpu.max of %s is %.2g processors", group, quota/period))
			costs = append(costs, "everything is slower, and deadlines are longer")
		}
		if group == "/" || group == "." {
			break
		}
		group = path.Dir(group)
	}
	if limits == nil {
		return works(true, f)
	}
	f.Detail = strings.Join(limits, "; ")
	f.Costs = strings.Join(slices.Compact(costs), "; ")
	f.Remedy = "raise the limit (docker run --pids-limit, --memory, --cpus; systemd: TasksMax, MemoryMax, CPUQuota)"
	return f
}

func (m machine) devices() Finding {
	f := Finding{
		Name: "dev", State: Missing, Essential: true, Detail: "/dev/null and the directory /dev/shm are there",
		Costs:  nothingRuns + " (the sandbox mounts its temporary files on /dev/shm)",
		Remedy: "mount a whole /dev, or make what is missing: mkdir -p /dev/shm; mknod -m 666 /dev/null c 1 3",
	}
	var absent []string
	for _, name := range []string{"null", "shm"} {
		if !m.exists("dev/" + name) {
			absent = append(absent, "/dev/"+name)
		}
	}
	if absent == nil {
		return works(true, f)
	}
	f.Detail = "not there: " + strings.Join(absent, ", ")
	return f
}

// limit returns the hard limit in a line of /proc/self/limits
// (proc_pid_limits(5)). "unlimited" is -1. Where there is no such line, known is false.
func (m machine) limit(name string) (n int, known bool) {
	for line := range strings.Lines(m.read("proc/self/limits")) {
		rest, is := strings.CutPrefix(line, name+" ")
		fields := strings.Fields(rest)
		if !is || len(fields) < 2 {
			continue
		}
		if fields[1] == "unlimited" {
			return -1, true
		}
		n, err := strconv.Atoi(fields[1])
		return n, err == nil
	}
	return 0, false
}

func limitFinding(name, what string, n int, known bool, least int) (f Finding, fine bool) {
	f = Finding{Name: name, State: Limited, Detail: fmt.Sprintf("at most %d %s", n, what)}
	switch {
	case !known:
		f.State, f.Detail = Unknown, "/proc/self/limits does not say"
	case n < 0:
		f.Detail = "no limit on " + what
	}
	return f, known && (n < 0 || n >= least)
}

func (m machine) openFiles() Finding {
	const least = 1024
	n, known := m.limit("Max open files")
	f, fine := limitFinding("open-files", "open files", n, known, least)
	f.Costs = "a host takes three, a connection of a client one: checks with many connections are broken"
	f.Remedy = fmt.Sprintf("raise the hard limit to %d or more (ulimit -Hn; docker run --ulimit nofile=%[1]d)", 16*least)
	return works(fine, f)
}

func (m machine) userProcesses() Finding {
	n, known := m.limit("Max processes")
	f, fine := limitFinding("processes", "processes and threads of this user", n, known, fewThreads)
	f.Costs = "a subject with many workers, and storms, get EAGAIN from fork"
	f.Remedy = fmt.Sprintf("raise the hard limit to %d or more (ulimit -Hu; docker run --ulimit nproc=%[1]d)", 4*fewThreads)
	return works(fine, f)
}

// load is about how busy the machine is.
func (m machine) load() Finding {
	f := Finding{Name: "processors", State: Limited, Detail: fmt.Sprintf("%d", m.processors)}
	fields := strings.Fields(m.read("proc/loadavg"))
	if len(fields) == 0 {
		return works(true, f)
	}
	load, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return works(true, f)
	}
	f.Detail = fmt.Sprintf("%d, with a load of %.2f", m.processors, load)
	f.Costs = "everything is slower, and deadlines are longer; no verdict changes"
	f.Remedy = "wait until other programs have ended, or run fewer checks side by side: -parallel 1"
	const busy = 2 // times as many runnable threads as processors
	return works(load < float64(busy*m.processors), f)
}

// kernelLog is about crashes of processes, which the kernel tells in its log.
func (m machine) kernelLog() Finding {
	f := Finding{
		Name: "kernel-log", State: Limited, Detail: "this process may not read /dev/kmsg",
		Costs: "make flake and CI cannot look for crashes of workers; no check needs it",
		Remedy: "run as root with CAP_SYSLOG, or sysctl -w kernel.dmesg_restrict=0; " +
			"in a container: docker run --device /dev/kmsg",
	}
	file, err := os.OpenFile(filepath.Join(m.root, "dev/kmsg"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case err == nil:
		file.Close()
		f.Detail = "/dev/kmsg can be read"
		return works(true, f)
	case errors.Is(err, os.ErrNotExist):
		f.Detail = "there is no /dev/kmsg"
	}
	return f
}
