// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"forkrig/rig"
)

// watched is a host, with what the observer saw of it last.
type watched struct {
	*rig.Host
	processes map[int]rig.ProcessInfo // by number
	looked    time.Duration           // when the last look at them began
	holds     map[holdKey]bool        // what was told of descriptors
	counts    map[int]int             // how many descriptors each process had, by number
	sockets   map[socketKey]rig.TCPState
	inodes    map[socketKey]uint64
	listeners map[socketKey][]uint64 // their inodes: several may have one name (SO_REUSEPORT)
	socketsAt time.Duration          // when the last look at them began
}

// socketKey is a TCP socket as its host has it.
type socketKey struct{ local, remote netip.AddrPort }

// look is when something was read. What was seen was true at a moment in between: it has the time of the
// end, and what is known to have happened after the beginning goes before it.
type look struct{ began, ended time.Duration }

// processNote is a process that was born, came into another state, or is gone.
type processNote struct {
	rig.ProcessInfo
	born  time.Duration // since the lab was made; of a new one
	isNew bool
	gone  bool
}

// socketNote is a socket that is in another state now.
type socketNote struct {
	socketKey
	state string
	inode uint64        // 0 where no process has it
	seen  time.Duration // when the look before began
	// taken says that nothing but the inode is new: a process has accepted it.
	taken bool
}

// holdKey is a process with a socket, by its inode, among its descriptors.
type holdKey struct {
	pid   int
	inode uint64
}

// countNote is a process that has another number of descriptors now.
type countNote struct{ pid, count int }

// gone is the state of a socket that is not there any more.
const gone = "gone"

func newWatched(host *rig.Host) *watched {
	return &watched{Host: host, processes: map[int]rig.ProcessInfo{}, sockets: map[socketKey]rig.TCPState{}, holds: map[holdKey]bool{}, counts: map[int]int{}}
}

// seeProcesses tells what is new among the processes of the host.
func (w *watched) seeProcesses(all rig.ProcessInfos, of look, tell func(processNote)) {
	left := len(w.processes)
	before := w.looked
	w.looked = of.began
	for _, now := range all {
		old, known := w.processes[now.PID]
		if known {
			left--
		}
		switch {
		case known && !old.Same(now):
			delete(w.counts, now.PID)
			tell(processNote{ProcessInfo: old, gone: true})
			fallthrough
		case !known:
			// The kernel's clock for it has steps of 10 ms: it was not there at the last look.
			tell(processNote{ProcessInfo: now, isNew: true, born: min(max(of.began-now.Age, before), of.ended)})
		case stateName(old.State) != stateName(now.State) || old.Name != now.Name:
			tell(processNote{ProcessInfo: now})
		default:
			continue
		}
		w.processes[now.PID] = now
	}
	if left == 0 {
		return
	}
	here := make(map[int]bool, len(all))
	for _, now := range all {
		here[now.PID] = true
	}
	for pid, old := range w.processes {
		if !here[pid] {
			tell(processNote{ProcessInfo: old, gone: true})
			delete(w.processes, pid)
			delete(w.counts, pid)
		}
	}
}

// stateName is the state of a process for people. Whether it runs or sleeps changes all the time.
func stateName(s rig.ProcessState) string {
	switch s {
	case rig.Zombie:
		return "zombie"
	case rig.Stopped:
		return "stopped"
	}
	return "runs"
}

// seeDescriptors tells which sockets the process is seen to have for the first time, and how many
// descriptors it has where that is new.
func (w *watched) seeDescriptors(of rig.ProcessInfo, fds rig.FDs, tell func(holdKey), tellCount func(countNote)) {
	if before, known := w.counts[of.PID]; !known || before != len(fds) {
		w.counts[of.PID] = len(fds)
		tellCount(countNote{of.PID, len(fds)})
	}
	for _, fd := range fds.Of(rig.FDSocket) {
		if key := (holdKey{of.PID, fd.Inode}); !w.holds[key] && len(w.holds) < mostNotes {
			w.holds[key] = true
			tell(key)
		}
	}
}

// seeSockets tells what is new among the sockets of the host.
func (w *watched) seeSockets(all rig.Sockets, of look, tell func(socketNote)) {
	here := make(map[socketKey]rig.TCPState, len(all))
	inodes := make(map[socketKey]uint64, len(all))
	listeners := map[socketKey][]uint64{}
	for _, s := range all {
		key := socketKey{unmapped(s.Local), unmapped(s.Remote)}
		if s.State == rig.Listening {
			listeners[key] = append(listeners[key], uint64(s.Inode))
		}
		if here[key] == 0 || s.State != rig.TimeWait { // one of the same name may follow one in TIME_WAIT
			here[key], inodes[key] = s.State, uint64(s.Inode)
		}
	}
	for key, state := range here {
		another := state == rig.Listening && w.sockets[key] == state && !shareOne(listeners[key], w.listeners[key])
		if another {
			tell(socketNote{socketKey: key, state: gone, seen: w.socketsAt})
		}
		if another || w.sockets[key] != state {
			tell(socketNote{socketKey: key, state: socketState(state), inode: inodes[key], seen: w.socketsAt})
		} else if w.inodes[key] == 0 && inodes[key] != 0 {
			tell(socketNote{socketKey: key, state: socketState(state), inode: inodes[key], taken: true})
		}
	}
	for key := range w.sockets {
		if _, still := here[key]; !still {
			tell(socketNote{socketKey: key, state: gone, seen: w.socketsAt})
		}
	}
	w.sockets, w.inodes, w.listeners, w.socketsAt = here, inodes, listeners, of.began
}

// shareOne says whether one of these inodes is also one of those.
func shareOne(these, those []uint64) bool {
	return slices.ContainsFunc(these, func(inode uint64) bool { return slices.Contains(those, inode) })
}

// unmapped is the address of which ::ffff:10.0.0.1 is another form.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// socketState names a state as the kernel does.
func socketState(s rig.TCPState) string {
	switch s {
	case rig.SynReceived, rig.NewSynReceived:
		return synReceived
	case rig.FinWait1:
		return finWait1
	case rig.FinWait2:
		return finWait2
	case rig.Listening:
		return listening
	case rig.Closed:
		return "CLOSE"
	}
	return strings.ReplaceAll(s.String(), "-", "_")
}
