package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// ProcessState is the state of a process in /proc/PID/stat (proc_pid_stat(5)).
type ProcessState byte

// The states that a rig acts on.
const (
	RunningState ProcessState = 'R'
	Sleeping     ProcessState = 'S'
	DiskSleep    ProcessState = 'D'
	Stopped      ProcessState = 'T'
	Zombie       ProcessState = 'Z'
)

func (s ProcessState) String() string {
	switch s {
	case RunningState:
		return "running"
	case Sleeping:
		return "sleeping"
	case DiskSleep:
		return "waiting for a device"
	case Stopped:
		return "stopped"
	case Zombie:
		return "zombie"
	case 0:
		return "unknown"
	}
	return "state " + string(rune(s))
}

// ProcessInfo is what /proc says about a process at one moment.
type ProcessInfo struct {
	PID       int
	ParentPID int
	Name      string // the command's name, at most 15 bytes
	State     ProcessState
	Threads   int
	CPUTime   time.Duration // user and system time, in steps of 10 ms
	// Age is how long the process exists.
	Age time.Duration
	// ZombieFor is how long the rig has seen it as a zombie; the kernel does not
	// say since when it is one, so this is a lower bound. Set by
	// [Process.Descendants] and [Host.Processes].
	ZombieFor time.Duration

	startTicks uint64
}

// processKey identifies a process beyond the reuse of its number.
type processKey struct {
	pid        int
	startTicks uint64
}

func (i ProcessInfo) key() processKey { return processKey{i.PID, i.startTicks} }

// StartedBefore says whether the process was started before the other one. The
// kernel's clock for it has steps of 10 ms; within one, the numbers decide.
func (i ProcessInfo) StartedBefore(other ProcessInfo) bool {
	if i.startTicks != other.startTicks {
		return i.startTicks < other.startTicks
	}
	return i.PID < other.PID
}

// Same says whether both describe the same process, whatever it did meanwhile.
func (i ProcessInfo) Same(other ProcessInfo) bool { return i.key() == other.key() }

func (i ProcessInfo) String() string {
	text := fmt.Sprintf("%s pid %d, child of %d, %v", i.Name, i.PID, i.ParentPID, i.State)
	if i.ZombieFor > 0 {
		text += fmt.Sprintf(" for %v or more", i.ZombieFor.Round(time.Millisecond))
	}
	return text
}

// ProcessInfos is a list of processes with ways to select from it.
type ProcessInfos []ProcessInfo

// Zombies returns those that ended and were not waited for.
func (l ProcessInfos) Zombies() ProcessInfos {
	return l.where(func(i ProcessInfo) bool { return i.State == Zombie })
}

// Alive returns those that have not ended.
func (l ProcessInfos) Alive() ProcessInfos {
	return l.where(func(i ProcessInfo) bool { return i.State != Zombie })
}

func (l ProcessInfos) where(keep func(ProcessInfo) bool) ProcessInfos { return selected(l, keep) }

func (l ProcessInfos) String() string { return listed(l, "no processes") }

// Info reads the state of the process. The error wraps os.ErrNotExist once the
// process has ended and was waited for.
func (p *Process) Info() (ProcessInfo, error) {
	if !p.Running() {
		return ProcessInfo{}, p.errEnded()
	}
	return readProcess(p.PID)
}

// errEnded keeps the rig from reading about another process that got the number
// of one that was waited for.
func (p *Process) errEnded() error { return fmt.Errorf("%v has ended: %w", p, os.ErrNotExist) }

// Descendants returns the children of the process, their children and so on,
// zombies included, in order of their numbers. A descendant whose parent ended
// belongs to the sandbox's init: see [Host.Processes]. A process that has ended
// has none.
func (p *Process) Descendants() (ProcessInfos, error) {
	if !p.Running() {
		return nil, nil
	}
	all, err := readProcesses()
	if err != nil {
		return nil, err
	}
	found := descendantsOf(all, p.PID)
	p.zombies.age(found)
	return found, nil
}

// zombieWatch remembers when each zombie was first seen. It is safe for
// concurrent use.
type zombieWatch struct {
	mu   sync.Mutex
	seen map[processKey]time.Time
}

// age sets ZombieFor of the zombies in all, and forgets those that are not there.
func (w *zombieWatch) age(all ProcessInfos) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	seen := map[processKey]time.Time{}
	for i, info := range all {
		if info.State != Zombie {
			continue
		}
		since, known := w.seen[info.key()]
		if !known {
			since = now
		}
		seen[info.key()] = since
		all[i].ZombieFor = now.Sub(since)
	}
	w.seen = seen
}

func descendantsOf(all ProcessInfos, pid int) ProcessInfos {
	children := map[int]ProcessInfos{}
	for _, info := range all {
		children[info.ParentPID] = append(children[info.ParentPID], info)
	}
	var found ProcessInfos
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, child := range children[next[0]] {
			found = append(found, child)
			next = append(next, child.PID)
		}
	}
	slices.SortFunc(found, func(a, b ProcessInfo) int { return cmp.Compare(a.PID, b.PID) })
	return found
}

// AwaitDescendants waits until seen says yes to the descendants of the process,
// and returns them. what names the expectation in a few words.
func (p *Process) AwaitDescendants(ctx context.Context, what string, seen func(ProcessInfos) bool) (ProcessInfos, error) {
	var found ProcessInfos
	err := Await(ctx, fmt.Sprintf("%s of %v", what, p), func() (bool, string, error) {
		var err error
		if found, err = p.Descendants(); err != nil {
			return false, "", err
		}
		return seen(found), found.String(), nil
	})
	p.Host.lab.Journal.Record(p.who(), "awaited %s%s", what, errorSuffix(err))
	return found, err
}

// Processes returns the processes of the host, in order of their numbers: those
// that run in its network namespace, orphans and daemons included, and the
// zombies whose parent is one of these. (A zombie itself has no namespace any more.)
func (h *Host) Processes() (ProcessInfos, error) {
	if err := h.lab.checkOpen("list processes of " + h.Name); err != nil {
		return nil, err
	}
	return h.processes()
}

func (h *Host) processes() (ProcessInfos, error) {
	// Of the processes of other hosts nothing is read but where they are.
	candidates, err := readProcessesIf(func(pid int) bool {
		namespace := namespaceOf(pid)
		return namespace == h.ns.inode || namespace == 0
	})
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	here := map[int]bool{}
	for _, i := range candidates {
		here[i.PID] = i.State != Zombie && !isOwnProcess(i.PID) && namespaceOf(i.PID) == h.ns.inode
	}
	found := candidates.where(func(i ProcessInfo) bool { return here[i.PID] || i.State == Zombie && here[i.ParentPID] })
	h.zombies.age(found)
	return found, nil
}

// AwaitProcesses waits until seen says yes to the processes of the host, and
// returns them. what names the expectation in a few words.
func (h *Host) AwaitProcesses(ctx context.Context, what string, seen func(ProcessInfos) bool) (ProcessInfos, error) {
	var found ProcessInfos
	err := Await(ctx, fmt.Sprintf("%s on %s", what, h.Name), func() (bool, string, error) {
		var err error
		if found, err = h.Processes(); err != nil {
			return false, "", err
		}
		return seen(found), found.String(), nil
	})
	h.lab.Journal.Record(h.Name, "awaited %s%s", what, errorSuffix(err))
	return found, err
}

// stillThere calls read, which reads about a process by its number, and makes
// sure that the number still belonged to that process afterwards.
func stillThere(info ProcessInfo, read func() error) error {
	err := read()
	now, nowErr := readProcess(info.PID)
	if isGone(err) || isGone(nowErr) || nowErr == nil && !now.Same(info) {
		return fmt.Errorf("%s pid %d has ended: %w", info.Name, info.PID, os.ErrNotExist)
	}
	return errors.Join(err, nowErr)
}
