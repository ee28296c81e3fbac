// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// ProcessState is the state of a process in /proc/PID/stat (proc_pid_stat(5)).
type ProcessState byte

// The states of a process.
const (
	RunningState ProcessState = 'R'
	Sleeping     ProcessState = 'S'
	DiskSleep    ProcessState = 'D'
	Stopped      ProcessState = 'T'
	Zombie       ProcessState = 'Z'
	// LeaderEnded is the state of a process whose first thread, the leader of its thread
	// group, has ended while others live: after pthread_exit(3), or for a moment while it
	// ends. The kernel shows Z (proc_pid_stat(5)) although it is no zombie.
	LeaderEnded ProcessState = 'L'
)

// isAwake says whether a thread in that state runs, is ready to run, or waits for a
// device.
func isAwake(s ProcessState) bool { return s == RunningState || s == DiskSleep }

// ofProcess returns the info of a process where that of its first thread was read.
func (i ProcessInfo) ofProcess() ProcessInfo {
	if i.State == Zombie && i.Threads > 1 {
		i.State = LeaderEnded
	}
	return i
}

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
	case LeaderEnded:
		return "without its first thread"
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
	// ZombieFor is for how long it has been seen as a zombie; the kernel does not
	// say since when it is one, so this is a lower bound. Set in snapshots only.
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
	return l.Where(func(i ProcessInfo) bool { return i.State == Zombie })
}

// Alive returns those that have not ended.
func (l ProcessInfos) Alive() ProcessInfos {
	return l.Where(func(i ProcessInfo) bool { return i.State != Zombie })
}

// Where returns the processes that keep says yes to.
func (l ProcessInfos) Where(keep func(ProcessInfo) bool) ProcessInfos { return selected(l, keep) }

func (l ProcessInfos) String() string { return listed(l, "no processes") }

// children returns the processes by the number of their parent.
func (l ProcessInfos) children() map[int]ProcessInfos {
	children := map[int]ProcessInfos{}
	for _, info := range l {
		children[info.ParentPID] = append(children[info.ParentPID], info)
	}
	return children
}

// Descendants returns the children of the process of that number, their children
// and so on, in order of their numbers.
func (l ProcessInfos) Descendants(pid int) ProcessInfos { return descendants(l.children(), pid) }

func descendants(children map[int]ProcessInfos, pid int) ProcessInfos {
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
