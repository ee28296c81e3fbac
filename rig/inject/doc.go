// SPDX-License-Identifier: Apache-2.0

// Package inject fails chosen system calls of any program, precisely: the n-th
// accept of a listener, every second read of its workers, one write in a hundred.
//
//	func TestMain(m *testing.M) { rig.Main(m, rig.Programs{"inject": inject.Shim}) }
//
//	session, err := inject.Start(ctx, host, rig.Exec("server", "7000"), "accept", "accept4", "read")
//	…
//	err = session.Set(inject.Rule{Calls: []inject.Call{"accept", "accept4"}, Every: 2, Errno: syscall.EINTR})
//
// A small program of the test binary, [Shim], installs a seccomp filter with user
// notification (seccomp_unotify(2)) and then executes the subject, which inherits
// it, as do its children. For each of the named calls the kernel asks the rig,
// which lets it happen or fails it. All other calls run at full speed, and the
// subject's pid, descriptors, signals, limits, environment and working directory
// are those that it has without the filter.
//
// What differs for the subject:
//
//   - A trapped call takes some microseconds longer.
//   - A signal that arrives while a trapped call waits for the rig to read the
//     notification interrupts the call, also one that never blocks: with a handler
//     without SA_RESTART such a call may fail with EINTR (listen and rt_sigaction,
//     which are always trapped, among them). Trap what may be interrupted anyway
//     where signals storm.
//   - A call that the kernel restarts after a signal (SA_RESTART in signal(7)) is
//     trapped again, and counts again.
//   - Where the shim lacks CAP_SYS_ADMIN, it sets no_new_privs (prctl(2)), so that
//     set-user-ID programs that the subject executes gain nothing. That is so with
//     [rig.Command.User], but not in a sandbox made without root, where the
//     capability is there.
//   - The subject cannot itself install a filter with user notification.
//
// Calls that a 32-bit program makes, or a 64-bit one with 32-bit conventions, are
// never trapped.
//
// The package needs Linux 5.9 or later, on amd64 or arm64. Before Linux 5.19 a
// signal may also interrupt a call that the rig is about to let happen: the
// call is then trapped again if the kernel restarts it, and otherwise fails with
// EINTR, also one that Linux never interrupts, such as close.
package inject
