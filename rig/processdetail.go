// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"time"

	"forkrig/rig/observe"
)

// FDs reads the open descriptors of the process. Of a process that runs as
// another user than the rig it needs CAP_SYS_PTRACE.
func (p *Process) FDs() (FDs, error) {
	if !p.Running() {
		return nil, p.errEnded()
	}
	return observe.ReadFDs(p.PID)
}

// FDs reads the open descriptors of a process of the host: see [Process.FDs].
// The error wraps os.ErrNotExist where it has ended.
func (h *Host) FDs(of ProcessInfo) (fds FDs, err error) {
	began := time.Now()
	err = stillThere(of, func() error { fds, err = observe.ReadFDs(of.PID); return err })
	if err == nil {
		h.observed.Tell(Sight{Began: began, Ended: time.Now(), FDs: fds, Of: of})
	}
	return fds, err
}

// Signals reads the signal masks of the process.
func (p *Process) Signals() (SignalMasks, error) {
	if !p.Running() {
		return SignalMasks{}, p.errEnded()
	}
	return observe.ReadSignals(p.PID)
}

// Signals reads what a process of the host does about signals: see
// [Process.Signals]. The error wraps os.ErrNotExist where it has ended.
func (h *Host) Signals(of ProcessInfo) (masks SignalMasks, err error) {
	err = stillThere(of, func() error { masks, err = observe.ReadSignals(of.PID); return err })
	return masks, err
}

// Wakeups returns how often the threads of a process of the host have gone to
// sleep of their own accord (voluntary_ctxt_switches in proc_pid_status(5)). A
// sleeping process whose number has grown was woken and sleeps again: where
// nothing else happened, by a signal.
func (h *Host) Wakeups(of ProcessInfo) (n uint64, err error) {
	err = stillThere(of, func() error { n, err = observe.ReadWakeups(of.PID); return err })
	return n, err
}

// Scheduled returns for how long the threads of a process of the host have run,
// and for how long they waited for a processor (/proc/PID/task/TID/schedstat).
// The sum is what the process wants, whatever a busy machine gives it. Threads
// that ended are not counted. Where the kernel keeps no such statistics
// (CONFIG_SCHED_INFO) running is the processor time, and waiting 0.
func (h *Host) Scheduled(of ProcessInfo) (running, waiting time.Duration, err error) {
	err = stillThere(of, func() error { running, waiting, err = observe.ReadScheduled(of.PID); return err })
	return running, waiting, err
}

// WaitsWithTimer says whether a thread of a process of the host waits in a call
// that ends after a time by itself: poll, select, epoll_wait or a sleep with a
// timeout (/proc/PID/task/TID/syscall). A timeout of the socket itself
// (SO_RCVTIMEO) and alarm(2) are not seen. It needs the right to trace the
// process, and [FeatureProcSyscall].
func (h *Host) WaitsWithTimer(of ProcessInfo) (timed bool, err error) {
	if err := seesSystemCalls(); err != nil {
		return false, err
	}
	err = stillThere(of, func() error { timed, err = observe.ReadTimedWait(of.PID); return err })
	return timed, err
}

// Waits returns the calls in which threads of a process of the host wait, and which of them
// wait for the socket with the inode (/proc/PID/task/TID/syscall, /proc/PID/fdinfo and, for
// poll and select, the memory of the process). It needs the right to trace the process, and
// [FeatureProcSyscall]. The error wraps os.ErrNotExist where the process has ended.
func (h *Host) Waits(of ProcessInfo, inode uint32) (waits []Wait, err error) {
	if err := seesSystemCalls(); err != nil {
		return nil, err
	}
	err = stillThere(of, func() error { waits, err = observe.ReadWaits(of.PID, inode); return err })
	return waits, err
}

// seesSystemCalls says whether the kernel shows in which call a thread waits.
func seesSystemCalls() error {
	_, err := os.Stat("/proc/self/syscall")
	if errors.Is(err, os.ErrNotExist) {
		return &MissingError{Feature: FeatureProcSyscall, Err: err, Remedy: "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK"}
	}
	return err
}

// Threads returns what each thread of a process of the host had of the
// processors, in order of their numbers. Threads that end meanwhile are left out.
func (h *Host) Threads(of ProcessInfo) (threads []ThreadUse, err error) {
	err = stillThere(of, func() error { threads, err = observe.ReadThreads(of.PID); return err })
	return threads, err
}

// Endurance reads the options of a TCP socket that a process of the host has
// open, through a copy of its descriptor (pidfd_getfd(2), Linux 5.6) that is
// closed at once. It needs the right to trace the process (ptrace(2)). The
// error wraps os.ErrNotExist where the process has ended or has no such socket.
func (h *Host) Endurance(of ProcessInfo, inode uint32) (Endurance, error) {
	return observe.ReadEndurance(of, inode)
}

// ListenerOptions reads the options of a listening TCP socket that a process of the host
// has open: see [Host.Endurance].
func (h *Host) ListenerOptions(of ProcessInfo, inode uint32) (ListenerOptions, error) {
	return observe.ReadListenerOptions(of, inode)
}

// Limits reads the resource limits of a process of the host. The error wraps
// os.ErrNotExist where it has ended.
func (h *Host) Limits(of ProcessInfo) (limits Limits, err error) {
	err = stillThere(of, func() error { limits, err = observe.ReadLimits(of.PID); return err })
	return limits, err
}

// FirstLimits returns the resource limits with which processes of the host are started. The
// error wraps os.ErrNotExist where none was started yet.
func (h *Host) FirstLimits() (Limits, error) {
	h.peopling.Lock()
	defer h.peopling.Unlock()
	if h.people == nil {
		return nil, fmt.Errorf("read the limits of processes of %s: none was started: %w", h.Name, os.ErrNotExist)
	}
	return observe.ReadLimits(h.people.Init())
}

// UserOf reads the effective user of a process of the host. The error wraps os.ErrNotExist
// where it has ended.
func (h *Host) UserOf(of ProcessInfo) (uid uint32, err error) {
	err = stillThere(of, func() error { uid, err = observe.ReadUser(of.PID); return err })
	return uid, err
}

// ProgramOf reads which file a process of the host executes. It needs the right to trace the
// process (ptrace(2)). The error wraps os.ErrNotExist where it has ended.
func (h *Host) ProgramOf(of ProcessInfo) (path string, err error) {
	err = stillThere(of, func() error { path, err = observe.ReadProgram(of.PID); return err })
	return path, err
}

// Counters reads the host's counters of IPv4, IPv6, TCP and UDP
// (/proc/net/snmp, netstat and snmp6 in proc_pid_net(5)).
func (h *Host) Counters() (counters Counters, err error) {
	err = h.Do(func() error { counters, err = observe.ReadCounters(); return err })
	if err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", h.Name, err)
	}
	return counters, nil
}
