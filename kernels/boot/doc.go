// SPDX-License-Identifier: Apache-2.0

// Package boot boots a kernel, runs jobs in it one after the other, and hands out what they
// print while they run. [QEMU] boots a kernel for virtual machines; [UserMode] starts User-mode
// Linux. Neither needs a privilege.
//
// The first process of a guest is the binary that called [Run]: its main function calls [Init]
// first. It mounts file systems, loads modules, runs the jobs and writes records ([frame]) to a
// line of its own, apart from the console. The last one says that all is done; without it the
// guest has died, and [DiedError] says in which job, with the last lines of the console. What
// finished jobs printed is outside by then.
//
// In a guest of QEMU the files of [Guest.Files] are in its memory, with the libraries and the
// interpreters that they need. In User-mode Linux the root is this machine's, read only, with
// file systems in memory where programs write. Both have /dev, /proc, /sys, /sys/fs/cgroup,
// /tmp and /run, and the loopback interface is up.
package boot
