// SPDX-License-Identifier: Apache-2.0

package syscalls

import "golang.org/x/sys/unix"

// AuditArch is what seccomp calls this architecture.
const AuditArch = unix.AUDIT_ARCH_AARCH64

// legacy are the calls of amd64 that this architecture left out.
var legacy = [...]call{
	{"access", Absent}, {"afs_syscall", Absent}, {"alarm", Absent}, {"arch_prctl", Absent},
	{"chmod", Absent}, {"chown", Absent}, {"creat", Absent}, {"create_module", Absent},
	{"dup2", Absent}, {"epoll_create", Absent}, {"epoll_ctl_old", Absent}, {"epoll_wait", Absent},
	{"epoll_wait_old", Absent}, {"eventfd", Absent}, {"fork", Absent}, {"futimesat", Absent},
	{"getdents", Absent}, {"getpgrp", Absent}, {"getpmsg", Absent}, {"get_kernel_syms", Absent},
	{"get_thread_area", Absent}, {"inotify_init", Absent}, {"ioperm", Absent}, {"iopl", Absent},
	{"lchown", Absent}, {"link", Absent}, {"lstat", Absent}, {"mkdir", Absent}, {"mknod", Absent},
	{"modify_ldt", Absent}, {"open", Absent}, {"pause", Absent}, {"pipe", Absent},
	{"poll", Absent}, {"putpmsg", Absent}, {"query_module", Absent}, {"readlink", Absent},
	{"rename", Absent}, {"rmdir", Absent}, {"security", Absent}, {"select", Absent},
	{"set_thread_area", Absent}, {"signalfd", Absent}, {"stat", Absent}, {"symlink", Absent},
	{"sysfs", Absent}, {"time", Absent}, {"tuxcall", Absent}, {"unlink", Absent},
	{"uprobe", Absent}, {"uretprobe", Absent}, {"uselib", Absent}, {"ustat", Absent},
	{"utime", Absent}, {"utimes", Absent}, {"vfork", Absent}, {"vserver", Absent},
	{"_sysctl", Absent},
}
