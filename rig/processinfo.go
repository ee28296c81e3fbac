package rig

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
	// [Process.Descendants] only.
	ZombieFor time.Duration

	startTicks uint64
}

// processKey identifies a process beyond the reuse of its number.
type processKey struct {
	pid        int
	startTicks uint64
}

func (i ProcessInfo) key() processKey { return processKey{i.PID, i.startTicks} }

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

func (l ProcessInfos) where(keep func(ProcessInfo) bool) ProcessInfos {
	var kept ProcessInfos
	for _, i := range l {
		if keep(i) {
			kept = append(kept, i)
		}
	}
	return kept
}

func (l ProcessInfos) String() string {
	if len(l) == 0 {
		return "no processes"
	}
	const most = 8
	var lines []string
	for n, i := range l {
		if n == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(l)-most))
			break
		}
		lines = append(lines, i.String())
	}
	return strings.Join(lines, "; ")
}

// SignalSet is a set of signals: bit n-1 stands for signal n (signal(7)).
type SignalSet uint64

// Has says whether the set contains s.
func (set SignalSet) Has(s syscall.Signal) bool { return s > 0 && set&(1<<(s-1)) != 0 }

// Signals returns the members, lowest first.
func (set SignalSet) Signals() []syscall.Signal {
	signals := make([]syscall.Signal, 0, bits.OnesCount64(uint64(set)))
	for rest := uint64(set); rest != 0; rest &= rest - 1 {
		signals = append(signals, syscall.Signal(bits.TrailingZeros64(rest)+1))
	}
	return signals
}

func (set SignalSet) String() string {
	names := []string{}
	for _, s := range set.Signals() {
		names = append(names, signalName(s))
	}
	return "{" + strings.Join(names, " ") + "}"
}

// SignalMasks is what a process does with each signal (proc_pid_status(5)).
// Pending are those directed at the process or at its first thread.
type SignalMasks struct {
	Pending, Blocked, Ignored, Caught SignalSet
}

// FD is an open descriptor of a process.
type FD struct {
	Number int
	Kind   FDKind
	Target string // what /proc/PID/fd/N links to
	Inode  uint64 // of a socket or pipe, otherwise 0
}

// FDKind says what an open descriptor is.
type FDKind string

// The kinds of descriptors.
const (
	FDSocket FDKind = "socket"
	FDPipe   FDKind = "pipe"
	FDAnon   FDKind = "anon" // epoll, eventfd, signalfd, pidfd, …: see Target
	FDFile   FDKind = "file"
	FDOther  FDKind = "other"
)

// fdOf classifies the target of a link in /proc/PID/fd (proc_pid_fd(5)).
func fdOf(number int, target string) FD {
	fd := FD{Number: number, Kind: FDOther, Target: target}
	kind, rest, found := strings.Cut(target, ":")
	switch {
	case strings.HasPrefix(target, "/"):
		fd.Kind = FDFile
	case found && kind == "anon_inode":
		fd.Kind = FDAnon
	case found && (kind == "socket" || kind == "pipe"):
		if inode, ok := bracketed(rest); ok {
			fd.Kind, fd.Inode = FDKind(kind), inode
		}
	}
	return fd
}

// bracketed reads the inode in a link such as socket:[12345].
func bracketed(text string) (inode uint64, ok bool) {
	inner, opened := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	inode, err := strconv.ParseUint(inner, 10, 64)
	return inode, opened && closed && err == nil
}

// FDs is a list of descriptors with ways to select from it.
type FDs []FD

// Of returns the descriptors of one kind.
func (l FDs) Of(kind FDKind) FDs {
	var kept FDs
	for _, fd := range l {
		if fd.Kind == kind {
			kept = append(kept, fd)
		}
	}
	return kept
}

// Socket says whether one of the descriptors is the socket with that inode.
func (l FDs) Socket(inode uint32) bool {
	for _, fd := range l {
		if fd.Kind == FDSocket && fd.Inode == uint64(inode) {
			return true
		}
	}
	return false
}

func (l FDs) String() string {
	parts := make([]string, len(l))
	for i, fd := range l {
		parts[i] = fmt.Sprintf("%d→%s", fd.Number, fd.Target)
	}
	return strings.Join(parts, " ")
}

// Info reads the state of the process. The error wraps os.ErrNotExist once the
// process has ended and was waited for.
func (p *Process) Info() (ProcessInfo, error) { return readProcess(p.PID) }

// Signals reads the signal masks of the process.
func (p *Process) Signals() (SignalMasks, error) { return readSignals(p.PID) }

// FDs reads the open descriptors of the process. Of a process that runs as
// another user than the rig it needs CAP_SYS_PTRACE.
func (p *Process) FDs() (FDs, error) { return readFDs(p.PID) }

// Descendants returns the children of the process, their children and so on,
// zombies included, in order of their numbers. A descendant whose parent ended
// belongs to the sandbox's init: see [Host.Processes].
func (p *Process) Descendants() (ProcessInfos, error) {
	all, err := readProcesses()
	if err != nil {
		return nil, err
	}
	found := descendantsOf(all, p.PID)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	seen := map[processKey]time.Time{}
	for i, info := range found {
		if info.State != Zombie {
			continue
		}
		since, known := p.zombies[info.key()]
		if !known {
			since = now
		}
		seen[info.key()] = since
		found[i].ZombieFor = now.Sub(since)
	}
	p.zombies = seen
	return found, nil
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

// AwaitReaped waits until the process has no zombie among its descendants. It
// returns the zombies that stay: those that were seen for the settling time
// and are still there while every thread of the process sleeps, processor time stands still
// and no SIGCHLD is pending, so that nothing but a new event can make it reap
// them. A process that is merely slow on a loaded machine is waited for.
func (p *Process) AwaitReaped(ctx context.Context) (ProcessInfos, error) {
	var zombies ProcessInfos
	rest := restWatch{pid: p.PID}
	err := Await(ctx, fmt.Sprintf("no zombie of %v", p), func() (bool, string, error) {
		all, err := p.Descendants()
		if err != nil {
			return false, "", err
		}
		if zombies = all.Zombies(); len(zombies) == 0 {
			return true, "", nil
		}
		atRest, err := rest.look()
		if err != nil {
			return false, "", err
		}
		youngest := slices.MinFunc(zombies, func(a, b ProcessInfo) int { return cmp.Compare(a.ZombieFor, b.ZombieFor) })
		return atRest && youngest.ZombieFor >= scaled(Settling), zombies.String(), nil
	})
	p.Host.lab.Journal.Record(p.who(), "awaited reaping, %d zombies stay%s", len(zombies), errorSuffix(err))
	return zombies, err
}

// restWatch notices that a process has come to rest: over several looks all its
// threads sleep, it used no processor time and SIGCHLD is not pending.
type restWatch struct {
	pid     int
	cpu     time.Duration
	looks   int
	resting time.Time
}

// restFor is how long a process must have been seen at rest. It is longer than
// the steps in which the kernel counts processor time.
const restFor = 100 * time.Millisecond

func (w *restWatch) look() (atRest bool, err error) {
	info, err := readProcess(w.pid)
	if err != nil {
		return false, err
	}
	masks, err := readSignals(w.pid)
	if err != nil {
		return false, err
	}
	asleep, err := allThreadsAsleep(w.pid)
	if err != nil {
		return false, err
	}
	if !asleep || info.CPUTime != w.cpu || masks.Pending.Has(syscall.SIGCHLD) && !masks.Blocked.Has(syscall.SIGCHLD) {
		w.cpu, w.looks, w.resting = info.CPUTime, 0, time.Now()
		return false, nil
	}
	w.looks++
	return w.looks >= 3 && time.Since(w.resting) >= restFor, nil
}

// Processes returns the processes that run in the host's network namespace, in
// order of their numbers: those started there and their descendants, orphans
// included. A zombie has no namespace any more and is not among them.
func (h *Host) Processes() (ProcessInfos, error) {
	if err := h.lab.checkOpen("list processes of " + h.Name); err != nil {
		return nil, err
	}
	return h.processes()
}

func (h *Host) processes() (ProcessInfos, error) {
	all, err := readProcesses()
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", h.Name, err)
	}
	return all.where(func(i ProcessInfo) bool { return !isOwnProcess(i.PID) && namespaceOf(i.PID) == h.ns.inode }), nil
}

// AwaitListen waits until the process, or a process of its host that descends
// from it, listens on the port, and returns the listening socket. The witness
// is the kernel: a socket in LISTEN on that port whose inode is open in such a
// process. A listener that an older process kept is not taken for it. The wait
// ends early when the process has ended and nothing of it is left.
func (h *Host) AwaitListen(ctx context.Context, p *Process, port uint16) (Socket, error) {
	var found Socket
	err := Await(ctx, fmt.Sprintf("%v listening on port %d", p, port), func() (bool, string, error) {
		running := p.Running()
		sockets, err := h.Sockets()
		if err != nil {
			return false, "", err
		}
		listeners := sockets.On(port).In(Listening)
		if len(listeners) > 0 {
			holders, err := p.family()
			if err != nil {
				return false, "", err
			}
			for _, pid := range holders {
				fds, err := readFDs(pid)
				if err != nil {
					continue // it ended, or it is a zombie
				}
				for _, listener := range listeners {
					if fds.Socket(listener.Inode) {
						found = listener
						return true, "", nil
					}
				}
			}
		}
		if !running {
			return false, "", fmt.Errorf("the process ended (%v) without listening\n%s", p.exit(), p.outputTail(6))
		}
		if len(listeners) > 0 {
			return false, "another process listens: " + listeners.String(), nil
		}
		return false, "nobody listens", nil
	})
	h.lab.Journal.Record(p.who(), "awaited listening on port %d%s", port, errorSuffix(err))
	return found, err
}

// family returns the numbers of the process and of its descendants.
func (p *Process) family() ([]int, error) {
	descendants, err := p.Descendants()
	if err != nil {
		return nil, err
	}
	pids := []int{p.PID}
	for _, d := range descendants {
		pids = append(pids, d.PID)
	}
	return pids, nil
}
