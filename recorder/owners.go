// SPDX-License-Identifier: Apache-2.0

package recorder

import "slices"

// owners finds the processes to which the sides of connections belong: those that were seen with
// the socket among their descriptors, by its inode.
type owners struct {
	sides map[uint64]side  // by inode
	held  map[uint64][]int // the processes that had it, by inode
}

// side is one side of a connection.
type side struct {
	connection int // its ID
	name       string
}

// enterSocket notes which side the socket of the inode is.
func (o owners) enterSocket(k *connection, n socketNote) {
	if n.inode == 0 || k.listener {
		return
	}
	name := serverSide
	if n.local == k.client {
		name = clientSide
	}
	o.sides[n.inode] = side{k.ID, name}
}

// enterHold notes that a process, by its ID, has the socket.
func (o owners) enterHold(process int, n holdKey) {
	o.held[n.inode] = append(o.held[n.inode], process)
}

// owner returns the process of a socket that these had, by its ID: a child has what its parent has accepted, and
// serves it. It is 0 where one of the others is no ancestor of the youngest, because either may have used it.
func (r *Recording) owner(holders []int) int {
	if len(holders) == 0 {
		return 0
	}
	youngest := slices.Max(holders)
	for _, id := range holders {
		if id != youngest && !r.descends(youngest, id) {
			return 0
		}
	}
	return youngest
}

// descends says whether a process is a descendant of the other one, by their IDs.
func (r *Recording) descends(id, from int) bool {
	for id = r.Processes[id-1].Parent; id != 0 && id != from; {
		id = r.Processes[id-1].Parent
	}
	return id == from
}

// name enters the processes into the packets that these sides have sent, as long as the process was
// there.
func (o owners) name(r *Recording) {
	processes := map[side]int{}
	for inode, side := range o.sides {
		if process := r.owner(o.held[inode]); process > 0 {
			processes[side] = process
		}
	}
	for i := range r.Events {
		e := &r.Events[i]
		if e.Packet == nil || e.Connection == 0 {
			continue
		}
		id := processes[side{e.Connection, e.Packet.Side}]
		if p := r.process(id); p != nil && p.Began <= e.At && (p.Ended == 0 || e.At <= p.Ended) {
			e.Process = id
		}
	}
	for i := range r.Frames {
		if f := &r.Frames[i]; f.Event > 0 {
			f.Process = r.Events[f.Event-1].Process
		}
	}
}
