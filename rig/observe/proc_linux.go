// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const procRoot = "/proc"

// New returns an observer of the sandbox whose /proc is mounted. It reads nothing as
// long as nothing is asked.
func New() *Observer { return newObserver(newProcSource(procRoot, os.Getpid()), newMeter()) }

// isGone says whether reading below /proc/PID failed because the process is no
// more: opening says ENOENT, reading an open file ESRCH.
func isGone(err error) bool { return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// IsGone says whether an error of a function that reads a process, or one of its
// threads, says that there is none any more.
func IsGone(err error) bool { return isGone(err) }

func pathOf(root string, pid int, parts ...string) string {
	return filepath.Join(append([]string{root, strconv.Itoa(pid)}, parts...)...)
}

// ReadProcess reads one process. The error wraps os.ErrNotExist where it is gone.
func ReadProcess(pid int) (ProcessInfo, error) {
	var buffer [statBytes]byte
	info, err := readStat(pathOf(procRoot, pid, "stat"), buffer[:])
	if isGone(err) {
		err = os.ErrNotExist
	}
	if err != nil {
		return ProcessInfo{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	info.Age = sinceBoot() - ofTicks(info.startTicks)
	return info.ofProcess(), nil
}

// statBytes is enough for a line of stat: 52 numbers of 20 digits at the most, and a name.
const statBytes = 2048

// readStat reads a file such as /proc/PID/stat, for which the buffer is big enough.
func readStat(path string, buffer []byte) (ProcessInfo, error) {
	fd, err := retried(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return ProcessInfo{}, err
	}
	defer unix.Close(fd)
	n, err := retried(func() (int, error) { return unix.Read(fd, buffer) })
	if err != nil {
		return ProcessInfo{}, err
	}
	info, err := parseStat(buffer[:n])
	if err == nil && info.State == released {
		return ProcessInfo{}, unix.ESRCH
	}
	return info, err
}

// released is the state of a process that was waited for while it was read (EXIT_DEAD).
const released ProcessState = 'X'

// retried makes a call again where a signal interrupted it.
func retried(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}

// sinceBoot is the clock that start times in /proc/PID/stat are counted on.
func sinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// ReadNamespace reads a link to a network namespace, such as /proc/PID/ns/net or a
// descriptor of one. It returns the inode, or 0 where it is no such link.
func ReadNamespace(path string) uint64 {
	target, err := os.Readlink(path)
	if err != nil {
		return 0
	}
	kind, rest, _ := strings.Cut(target, ":")
	inode, ok := bracketed(rest)
	if kind != "net" || !ok {
		return 0
	}
	return inode
}

// procSource reads processes below root. Its methods that are about all processes are
// called by one goroutine at a time.
type procSource struct {
	root   string
	own    int // number of this process, whose threads come and go between namespaces
	known  map[int]*knownProcess
	reads  uint64
	buffer [statBytes]byte
}

// knownProcess is what was found out about a process and need not be read each time.
type knownProcess struct {
	stat, link string // paths
	startTicks uint64
	namespace  uint64 // 0 is not known
	adopted    uint64 // that of its parent, where its own is no host's
	placed     time.Time
	zombie     time.Time // since when it has been seen as one, or zero
	read       uint64    // number of the read that listed it last
}

// placedFor is for how long the place of a process is taken to be what it was. A child
// is born in the namespace of its parent, and a process moves to another only by
// setns(2) or unshare(2); one that does is found in its new place after this time. Until
// then a read for other hosts leaves out the process altogether: its number alone
// tells which one it is, which the kernel gives to another one only after all the
// others.
const placedFor = time.Second

func newProcSource(root string, own int) *procSource {
	return &procSource{root: root, own: own, known: map[int]*knownProcess{}}
}

func (s *procSource) read(now time.Time, wanted, known func(namespace uint64) bool) ([]located, error) {
	pids, err := listNumbers(s.root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	s.reads++
	boot := sinceBoot()
	all := make([]located, 0, len(pids))
	for _, pid := range pids {
		k := s.known[pid]
		if k == nil {
			k = &knownProcess{stat: pathOf(s.root, pid, "stat"), link: pathOf(s.root, pid, "ns", "net")}
			s.known[pid] = k
		}
		k.read = s.reads
		trusted := !k.placed.IsZero() && now.Sub(k.placed) < placedFor
		if trusted && !wanted(k.namespace) {
			continue
		}
		info, err := s.place(k, pid, trusted, now)
		if isGone(err) { // since the listing
			delete(s.known, pid)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read process %d: %w", pid, err)
		}
		if pid != s.own && !known(k.namespace) {
			s.adopt(k, info, known)
		}
		info.Age = boot - ofTicks(info.startTicks)
		if !k.zombie.IsZero() {
			info.ZombieFor = now.Sub(k.zombie)
		}
		all = append(all, located{info, k.namespace})
	}
	for pid, k := range s.known {
		if k.read != s.reads {
			delete(s.known, pid)
		}
	}
	s.placeZombies(all, now)
	return slices.DeleteFunc(all, func(p located) bool { return !wanted(p.namespace) }), nil
}

// place reads the process and, where that is not trusted any more, where it is.
func (s *procSource) place(k *knownProcess, pid int, trusted bool, now time.Time) (ProcessInfo, error) {
	info, err := s.readProcess(k)
	if err != nil {
		return info, err
	}
	if info.startTicks != k.startTicks { // it is another process, or a new one
		*k = knownProcess{stat: k.stat, link: k.link, read: k.read, startTicks: info.startTicks}
		trusted = false
	}
	if info.State != Zombie && !trusted && pid != s.own {
		namespace := ReadNamespace(k.link)
		if info.State == LeaderEnded {
			namespace = s.namespaceOfThreads(pid)
		}
		if namespace == 0 {
			// It has ended meanwhile, or it may not be looked at.
			if info, err = s.readProcess(k); err != nil {
				return info, err
			}
		}
		if namespace != 0 {
			k.namespace, k.placed = namespace, now
		}
	}
	switch {
	case info.State != Zombie:
		k.zombie = time.Time{}
	case k.zombie.IsZero():
		k.zombie = now
	}
	return info, nil
}

// adopt puts a process that has left its host's namespace where its parent is, or where it
// was put before: some servers isolate their workers in a network namespace of their own.
func (s *procSource) adopt(k *knownProcess, info ProcessInfo, known func(namespace uint64) bool) {
	if parent := s.known[info.ParentPID]; parent != nil && info.ParentPID != s.own && known(parent.namespace) {
		k.adopted = parent.namespace
	}
	if known(k.adopted) {
		k.namespace = k.adopted
	}
}

// namespaceOfThreads returns the network namespace of a process whose first thread has
// ended, which has none any more: that of the thread with the lowest number that has one.
func (s *procSource) namespaceOfThreads(pid int) (namespace uint64) {
	threads, _ := listThreads(s.root, pid) // an error means that it ends
	for _, tid := range threads {
		if namespace = ReadNamespace(pathOf(s.root, pid, "task", strconv.Itoa(tid), "ns", "net")); namespace != 0 {
			break
		}
	}
	return namespace
}

func (s *procSource) readProcess(k *knownProcess) (ProcessInfo, error) {
	info, err := readStat(k.stat, s.buffer[:])
	return info.ofProcess(), err
}

// placeZombies puts the zombies where their parents are, where those live.
func (s *procSource) placeZombies(all []located, now time.Time) {
	for i, p := range all {
		if p.State != Zombie {
			continue
		}
		all[i].namespace = 0
		if parent := s.known[p.ParentPID]; parent != nil && parent.zombie.IsZero() && p.ParentPID != s.own {
			all[i].namespace = parent.namespace
		}
		k := s.known[p.PID]
		k.namespace, k.placed = all[i].namespace, now
	}
}

func (s *procSource) signals(pid int) (SignalMasks, error) { return readSignals(s.root, pid) }

func (s *procSource) fds(pid int) (FDs, error) { return readFDs(s.root, pid) }

// awake says whether a thread of the process is awake.
func (s *procSource) awake(pid int) (awake bool, err error) {
	err = eachThread(s.root, pid, func(thread ProcessInfo) bool {
		awake = isAwake(thread.State)
		return !awake
	})
	return awake, err
}

// listNumbers returns the names of the directory that are numbers, lowest first.
func listNumbers(directory string) ([]int, error) {
	opened, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	names, err := opened.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	numbers := make([]int, 0, len(names))
	for _, name := range names {
		if n, ok := number([]byte(name)); ok {
			numbers = append(numbers, int(n))
		}
	}
	slices.SortFunc(numbers, cmp.Compare[int])
	return numbers, nil
}
