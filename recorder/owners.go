// SPDX-License-Identifier: Apache-2.0

package recorder

// owners finds the processes to which the sides of connections belong: those that were seen with
// the socket among their descriptors, by its inode.
type owners struct {
	sides map[uint64]side // by inode
	held  map[uint64]int  // the process that was born last of those that had it, by inode
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

// enterHold notes that a process, by its ID, has the socket. A child has what its parent has
// accepted, and serves it.
func (o owners) enterHold(process int, n holdKey) {
	o.held[n.inode] = max(o.held[n.inode], process)
}

// name enters the processes into the packets that these sides have sent, from when the process was
// there.
func (o owners) name(r *Recording) {
	processes := map[side]int{}
	for inode, side := range o.sides {
		if process := o.held[inode]; process > 0 {
			processes[side] = process
		}
	}
	for i := range r.Events {
		e := &r.Events[i]
		if e.Packet == nil || e.Connection == 0 {
			continue
		}
		if id := processes[side{e.Connection, e.Packet.Side}]; id > 0 && r.Processes[id-1].Began <= e.At {
			e.Process = id
		}
	}
	for i := range r.Frames {
		if f := &r.Frames[i]; f.Event > 0 {
			f.Process = r.Events[f.Event-1].Process
		}
	}
}
