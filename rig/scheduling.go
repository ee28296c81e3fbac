package rig

import (
	"errors"
	"os"
	"time"
)

// Wakeups returns how often the threads of a process of the host have gone to
// sleep of their own accord (voluntary_ctxt_switches in proc_pid_status(5)). A
// sleeping process whose number has grown was woken and sleeps again: where
// nothing else happened, by a signal.
func (h *Host) Wakeups(of ProcessInfo) (n uint64, err error) {
	err = stillThere(of, func() error { n, err = readWakeups(of.PID); return err })
	return n, err
}

// Scheduled returns for how long the threads of a process of the host have run,
// and for how long they waited for a processor (/proc/PID/task/TID/schedstat).
// The sum is what the process wants, whatever a busy machine gives it. Threads
// that ended are not counted. Where the kernel keeps no such statistics
// (CONFIG_SCHED_INFO) running is the processor time, and waiting 0.
func (h *Host) Scheduled(of ProcessInfo) (running, waiting time.Duration, err error) {
	err = stillThere(of, func() error { running, waiting, err = readScheduled(of.PID); return err })
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
	err = stillThere(of, func() error { timed, err = readTimedWait(of.PID); return err })
	return timed, err
}

// seesSystemCalls says whether the kernel shows in which call a thread waits.
func seesSystemCalls() error {
	_, err := os.Stat("/proc/self/syscall")
	if errors.Is(err, os.ErrNotExist) {
		return &MissingError{Feature: FeatureProcSyscall, Err: err, Remedy: "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK"}
	}
	return err
}

// ThreadUse is what a thread had of the processors since it was started.
type ThreadUse struct {
	TID     int
	Running time.Duration // as [Host.Scheduled] counts it
	Waiting time.Duration // the kernel adds a wait when it is over
	Sleeps  uint64        // as [Host.Wakeups] counts them
	// Wants says whether it runs or waits for a processor now.
	Wants bool
}

// Threads returns what each thread of a process of the host had of the
// processors, in order of their numbers. Threads that end meanwhile are left out.
func (h *Host) Threads(of ProcessInfo) (threads []ThreadUse, err error) {
	err = stillThere(of, func() error { threads, err = readThreads(of.PID); return err })
	return threads, err
}
