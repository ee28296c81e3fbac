package inject

import "golang.org/x/sys/unix"

// auditArch is what seccomp calls this architecture.
const auditArch = unix.AUDIT_ARCH_AARCH64

// legacyNumbers are the calls of amd64 that this architecture left out.
var legacyNumbers = map[Call]int32{
	"access": absent, "afs_syscall": absent, "alarm": absent, "arch_prctl": absent, "chmod": absent,
	"chown": absent, "creat": absent, "create_module": absent, "dup2": absent, "epoll_create": absent,
	"epoll_ctl_old": absent, "epoll_wait": absent, "epoll_wait_old": absent, "eventfd": absent,
	"fork": absent, "futimesat": absent, "getdents": absent, "getpgrp": absent, "getpmsg": absent,
	"get_kernel_syms": absent, "get_thread_area": absent, "inotify_init": absent, "ioperm": absent,
	"iopl": absent, "lchown": absent, "link": absent, "lstat": absent, "mkdir": absent,
	"mknod": absent, "modify_ldt": absent, "open": absent, "pause": absent, "pipe": absent,
	"poll": absent, "putpmsg": absent, "query_module": absent, "readlink": absent, "rename": absent,
	"rmdir": absent, "security": absent, "select": absent, "set_thread_area": absent,
	"signalfd": absent, "stat": absent, "symlink": absent, "sysfs": absent, "time": absent,
	"tuxcall": absent, "unlink": absent, "uprobe": absent, "uretprobe": absent, "uselib": absent,
	"ustat": absent, "utime": absent, "utimes": absent, "vfork": absent, "vserver": absent,
	"_sysctl": absent,
}
