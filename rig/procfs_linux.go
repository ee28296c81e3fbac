package rig

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"forkrig/rig/internal/syscalls"
)

const procRoot = "/proc"

// ticksPerSecond is USER_HZ, in which /proc/PID/stat counts time. It is 100 on
// every architecture that Go runs on.
const ticksPerSecond = 100

// readProcess reads one process. The error wraps os.ErrNotExist where it is gone.
func readProcess(pid int) (ProcessInfo, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return ProcessInfo{}, err
	}
	return readProcessFrom(fs, pid)
}

func readProcessFrom(fs procfs.FS, pid int) (ProcessInfo, error) {
	proc, err := fs.Proc(pid)
	if err != nil {
		return ProcessInfo{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return ProcessInfo{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	info := ProcessInfo{
		PID: stat.PID, ParentPID: stat.PPID, Name: stat.Comm, Threads: stat.NumThreads,
		CPUTime:    time.Duration(stat.UTime+stat.STime) * time.Second / ticksPerSecond,
		Age:        sinceBoot() - time.Duration(stat.Starttime)*time.Second/ticksPerSecond,
		startTicks: stat.Starttime,
	}
	if stat.State != "" {
		info.State = ProcessState(stat.State[0])
	}
	return info, nil
}

// sinceBoot is the clock that start times in /proc/PID/stat are counted on.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// readProcesses reads every process of the sandbox.
func readProcesses() (ProcessInfos, error) {
	return readProcessesIf(func(int) bool { return true })
}

// readProcessesIf reads those processes of the sandbox whose numbers wanted says
// yes to.
func readProcessesIf(wanted func(pid int) bool) (ProcessInfos, error) {
	entries, err := os.ReadDir(procRoot)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all ProcessInfos
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || !wanted(pid) {
			continue
		}
		info, err := readProcessFrom(fs, pid)
		switch {
		case isGone(err): // since the listing
		case err != nil:
			return nil, err
		default:
			all = append(all, info)
		}
	}
	return all, nil
}

// isGone says whether reading below /proc/PID failed because the process is no
// more: opening says ENOENT, reading an open file ESRCH.
func isGone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }

func procPath(pid int, parts ...string) string {
	return filepath.Join(append([]string{procRoot, strconv.Itoa(pid)}, parts...)...)
}

// namespaceOf returns the inode of the process's network namespace, or 0 where
// it has none any more.
func namespaceOf(pid int) uint64 { return namespaceInode(procPath(pid, "ns", "net")) }

func namespaceInode(path string) uint64 {
	target, err := os.Readlink(path)
	if err != nil {
		return 0
	}
	inode, ok := bracketed(strings.TrimPrefix(target, "net:"))
	if !ok {
		return 0
	}
	return inode
}

func isOwnProcess(pid int) bool { return pid == os.Getpid() }

// allThreadsAsleep says whether no thread of the process runs or wants to run.
func allThreadsAsleep(pid int) (bool, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return false, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return false, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	for _, thread := range threads {
		stat, err := thread.Stat()
		if isGone(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		if stat.State == string(RunningState) || stat.State == string(DiskSleep) {
			return false, nil
		}
	}
	return true, nil
}

func readFDs(pid int) (FDs, error) {
	dir := procPath(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list descriptors of process %d: %w", pid, err)
	}
	fds := FDs{}
	var denied error
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil { // closed since the listing
			if errors.Is(err, os.ErrPermission) {
				denied = err
			}
			continue
		}
		fds = append(fds, fdOf(number, target))
	}
	if len(fds) == 0 && denied != nil {
		return nil, fmt.Errorf("read descriptors of process %d: %w", pid, denied)
	}
	return fds, nil
}

func readSignals(pid int) (SignalMasks, error) {
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return SignalMasks{}, fmt.Errorf("read signals of process %d: %w", pid, err)
	}
	masks, err := parseSignals(status)
	if err != nil {
		return SignalMasks{}, fmt.Errorf("read signals of process %d: %w", pid, err)
	}
	return masks, nil
}

// signalLines is how many lines of /proc/PID/status are about signals.
const signalLines = 5

// parseSignals reads the signal lines of /proc/PID/status, which the procfs
// library leaves out.
func parseSignals(status []byte) (SignalMasks, error) {
	var masks SignalMasks
	found := 0
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			continue
		}
		var set *SignalSet
		switch name {
		case "SigPnd", "ShdPnd":
			set = &masks.Pending
		case "SigBlk":
			set = &masks.Blocked
		case "SigIgn":
			set = &masks.Ignored
		case "SigCgt":
			set = &masks.Caught
		default:
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return SignalMasks{}, fmt.Errorf("parse %s: %w", name, err)
		}
		*set |= SignalSet(mask)
		found++
	}
	if err := lines.Err(); err != nil {
		return SignalMasks{}, fmt.Errorf("parse the status: %w", err)
	}
	if found < signalLines {
		return SignalMasks{}, fmt.Errorf("parse the status: %d of %d signal lines", found, signalLines)
	}
	return masks, nil
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

func readWakeups(pid int) (uint64, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return 0, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	var n uint64
	for _, thread := range threads {
		status, err := thread.NewStatus()
		if isGone(err) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		n += status.VoluntaryCtxtSwitches
	}
	return n, nil
}

func readScheduled(pid int) (running, waiting time.Duration, err error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return 0, 0, err
	}
	threads, err := fs.AllThreads(pid)
	if err != nil {
		return 0, 0, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	for _, thread := range threads {
		statistics, err := thread.Schedstat()
		if isGone(err) {
			continue
		}
		if err != nil {
			info, err := readProcess(pid)
			return info.CPUTime, 0, err
		}
		running += time.Duration(statistics.RunningNanoseconds)
		waiting += time.Duration(statistics.WaitingNanoseconds)
	}
	return running, waiting, nil
}

func readThreads(pid int) ([]ThreadUse, error) {
	fs, err := procfs.NewFS(procRoot)
	if err != nil {
		return nil, err
	}
	all, err := fs.AllThreads(pid)
	if err != nil {
		return nil, fmt.Errorf("list threads of process %d: %w", pid, err)
	}
	var threads []ThreadUse
	for _, thread := range all {
		status, err := thread.NewStatus()
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		stat, err := thread.Stat()
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read thread %d: %w", thread.PID, err)
		}
		use := ThreadUse{TID: thread.PID, Sleeps: status.VoluntaryCtxtSwitches, Wants: stat.State == string(RunningState)}
		if statistics, err := thread.Schedstat(); err == nil {
			use.Running = time.Duration(statistics.RunningNanoseconds)
			use.Waiting = time.Duration(statistics.WaitingNanoseconds)
		} else { // no CONFIG_SCHED_INFO
			use.Running = time.Duration(stat.UTime+stat.STime) * time.Second / ticksPerSecond
		}
		threads = append(threads, use)
	}
	slices.SortFunc(threads, func(a, b ThreadUse) int { return cmp.Compare(a.TID, b.TID) })
	return threads, nil
}

func readTimedWait(pid int) (bool, error) {
	files, err := filepath.Glob(procPath(pid, "task", "*", "syscall"))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if isGone(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read what process %d waits for: %w", pid, err)
		}
		if timedWait(string(text)) {
			return true, nil
		}
	}
	return false, nil
}

// timedWait reads a line of /proc/PID/syscall: the number of the call and its
// six arguments, or a word where the thread is in no call.
func timedWait(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 7 {
		return false
	}
	number, err := strconv.Atoi(fields[0])
	if err != nil {
		return false
	}
	argument := func(i int) uint64 {
		value, _ := strconv.ParseUint(strings.TrimPrefix(fields[1+i], "0x"), 16, 64)
		return value
	}
	w, _ := syscalls.WaitOf(int32(number))
	return w.Sleep || w.Milliseconds != 0 && int32(argument(w.Milliseconds)) >= 0 ||
		w.Timeout != 0 && argument(w.Timeout) != 0
}
