// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepare gets the guest ready for its jobs. What goes wrong is told, and the rest is done.
func prepare(p plan) error {
	var errs []error
	note := func(doing string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", doing, err))
		}
	}
	unix.Umask(0o022)
	os.Clearenv() // parameters that the kernel does not know become variables
	os.Setenv("TERM", "linux")
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	os.Setenv("HOME", "/root")
	for _, path := range p.Modules { // before the root changes: they are found from here
		note("load the module "+path, load(path))
	}
	root := ""
	if p.Overlay {
		var err error
		root, err = overlay()
		note("make the root writable", err)
	}
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"devpts", "/dev/pts", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"tmpfs", "/run", "mode=755"},
	} {
		note("mount "+m.kind, mount(m.kind, root+m.at, m.options))
	}
	if root != "" {
		note("change the root", switchRoot(root))
	}
	note("open the console", openConsole())
	note("name the guest", unix.Sethostname([]byte("guest")))
	note("bring lo up", loopbackUp())
	note("raise the limit of descriptors", syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: softFiles, Max: hardFiles}))
	note("bound its processes", boundThreads())
	note("let each host have a cgroup", allowCgroups())
	// The kernel ends a job where memory runs out, not this process (proc_pid_oom_score_adj(5)).
	note("protect the first process", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	return errors.Join(errs...)
}

// maxThreads is how many processes and threads a guest has at most: each of User-mode Linux is a process
// of this machine.
const maxThreads = 4096

// boundThreads lowers the kernel's own limit, which goes by the memory (kernel.threads-max, fork_init).
func boundThreads() error {
	const path = "/proc/sys/kernel/threads-max"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if now, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && now <= maxThreads {
		return nil
	}
	return os.WriteFile(path, []byte(strconv.Itoa(maxThreads)), 0)
}

// hostCgroups is the environment variable by which the rig learns where it may make a cgroup for
// each host (population.CgroupEnv).
const hostCgroups = "FORKRIG_HOST_CGROUPS"

// allowCgroups lets the jobs limit processes by cgroups, where the kernel can (CONFIG_CGROUP_PIDS,
// CONFIG_FAIR_GROUP_SCHED).
func allowCgroups() error {
	const root = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(root + "/cgroup.controllers")
	has := strings.Fields(string(controllers))
	if err != nil || !slices.Contains(has, "pids") || !slices.Contains(has, "cpu") {
		return nil // it has none: the rig does without
	}
	os.Setenv(hostCgroups, root)
	return os.WriteFile(root+"/cgroup.subtree_control", []byte("+pids +cpu"), 0)
}

// The limits of descriptors that a login session has on a usual machine.
const softFiles, hardFiles = 1024, 524288

func mount(kind, at, options string) error {
	if err := os.MkdirAll(at, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	err := unix.Mount(kind, at, kind, 0, options)
	if errors.Is(err, unix.EBUSY) { // the kernel has mounted it: CONFIG_DEVTMPFS_MOUNT
		return nil
	}
	return os.NewSyscallError("mount "+at, err)
}

// load loads a module, whose dependencies are loaded (finit_module(2)).
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return os.NewSyscallError("finit_module", err)
	}
	return nil
}

// overlay makes a root in which everything of the present one is, and in which writing changes
// the guest's memory only.
func overlay() (root string, err error) {
	const memory = "/tmp"
	if err := mount("tmpfs", memory, "mode=755"); err != nil {
		return "", err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(memory+"/"+dir, 0o755); err != nil {
			return "", err
		}
	}
	root = memory + "/root"
	options := "lowerdir=/,upperdir=" + memory + "/upper,workdir=" + memory + "/work"
	return root, mount("overlay", root, options)
}

// switchRoot makes a mount the root of the namespace, as switch_root(8) does. A process that is
// in a mere chroot could make no user namespace.
func switchRoot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return os.NewSyscallError("mount MS_MOVE", err)
	}
	if err := unix.Chroot("."); err != nil {
		return os.NewSyscallError("chroot", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// openConsole makes the console the standard streams: the kernel could not open it where the
// root had no /dev/console.
func openConsole() error {
	fd, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return os.NewSyscallError("open /dev/console", err)
	}
	for stream := range 3 {
		if fd != stream {
			err = errors.Join(err, unix.Dup3(fd, stream, 0))
		}
	}
	if fd > 2 {
		unix.Close(fd)
	}
	return err
}

// loopbackUp brings the interface lo up (netdevice(7)).
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("ioctl SIOCSIFFLAGS", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}
