// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"forkrig/judge"
	"forkrig/rig"
)

// checkInvariants checks what must be true after every action.
func (p *player) checkInvariants() {
	p.checkListening()
	if len(p.storms) == 0 { // during one the subject is never quiescent
		if p.shortage == nil { // during one it may try accept again by a timer, and is not quiescent either
			p.checkReaped()
		}
		p.checkSingleOwner()
		p.checkDescriptors(len(p.open()) + len(p.unnoticed))
	}
	p.checkDrained()
	for _, c := range p.open() {
		if p.answerable(c) && (len(c.owed) > 0 || c.halfClosed) {
			p.checkConversation(c, p.receive(c))
		}
	}
}

// checkEnd heals all faults, lets all clients leave, and compares the server with its
// baseline.
func (p *player) checkEnd() {
	p.endShortage()
	for client := range clientHosts {
		p.plug(client + 1)
	}
	p.checkListening()
	p.checkDrained()
	rest := p.open()
	// Clients that are served leave first, so that those that wait are served.
	slices.SortStableFunc(rest, func(a, b *conversation) int {
		switch {
		case a.served == b.served:
			return 0
		case a.served:
			return -1
		}
		return 1
	})
	for i, c := range rest {
		if p.traits.AtOnce > 0 && !c.served && i < len(rest)-1 {
			p.hangUp(c) // it may wait for another one to leave
			continue
		}
		if !c.halfClosed && !p.complete(c) {
			p.exchange(c, 40)
		}
		if !c.ended {
			p.checkConversation(c, p.receive(c))
		}
		p.hangUp(c)
	}
	p.endStorm()
	p.checkBaseline()

	c := p.connect(maxConn+1, clientHosts)
	p.exchange(c, 40)
	p.hangUp(c)
	p.checkBaseline()
}

// checkListening fails the subject if no socket listens.
func (p *player) checkListening() {
	_, err := p.Until("listening", func() (bool, string, error) {
		here, err := p.PortSockets()
		if err != nil || len(here.In(rig.Listening)) > 0 {
			return true, "", err
		}
		if ended := p.server.HowItEnded(); ended != "" {
			all, err := p.Host.Processes()
			if !slices.ContainsFunc(all.Alive(), p.server.IsOwn) {
				return false, "", errors.Join(fmt.Errorf("the listener has ended%s", ended), err)
			}
		}
		return false, "no socket listens", nil
	})
	if err != nil {
		p.Fail("faults and shortages must not end the listener: handle each error of accept and fork, and go on",
			"the server does not listen any more%s", p.server.HowItEnded())
	}
}

// checkReaped fails the subject if a zombie lasts.
func (p *player) checkReaped() {
	all, err := p.Host.Processes()
	p.Must(err)
	if len(all.Zombies()) == 0 {
		return
	}
	_, err = p.Until("zombies reaped", func() (bool, string, error) {
		all, err = p.Host.Processes()
		return len(all.Zombies()) == 0, all.Zombies().String(), err
	})
	if err == nil {
		return
	}
	if !p.Check.Hasty {
		lasting, err := p.Host.AwaitReaped(p.Context())
		p.Must(err)
		all = lasting
	}
	if len(all.Zombies()) == 0 {
		return
	}
	if p.traits.reapsByTimer && p.server.ReapedByTimer() {
		p.timerReaped = true
		return
	}
	p.Fail("wait for each worker that ended: waitpid(-1, &status, WNOHANG) in a loop after every SIGCHLD",
		"%d workers that ended stay zombies: the server does not wait for them", len(all.Zombies()))
}

// checkDrained fails a subject that must wait for its workers after SIGTERM and has
// ended before them.
func (p *player) checkDrained() {
	if p.Subject.OnTerm != judge.Drain {
		return
	}
	all, err := p.Host.Processes()
	p.Must(err)
	for _, c := range p.open() {
		if c.excuse == "" && !c.halfClosed && c.drainedBy != nil && !slices.ContainsFunc(all.Alive(), c.drainedBy.Same) {
			p.Fail("the first process must end last, because a supervisor waits for it: wait for all workers before exit",
				"the server ended after SIGTERM while the worker of %v still served its client", c)
		}
	}
}

// socketOwners are the processes that have each socket open, by its inode.
func (p *player) socketOwners() map[uint32]rig.ProcessInfos {
	all, err := p.Host.Processes()
	p.Must(err)
	found := map[uint32]rig.ProcessInfos{}
	for _, info := range all.Alive() {
		fds, err := p.Host.FDs(info)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds.Of(rig.FDSocket) {
			inode := uint32(fd.Inode)
			if !slices.ContainsFunc(found[inode], info.Same) {
				found[inode] = append(found[inode], info)
			}
		}
	}
	return found
}

// workersOf are the workers that have the server's side of the connection open.
func (p *player) workersOf(c *conversation) rig.ProcessInfos {
	inode, err := c.ServerInode()
	p.Must(err)
	return slices.DeleteFunc(p.Holders(inode), p.server.IsOwn)
}

// checkSingleOwner fails the subject if two processes keep a connection open: the
// listener and a worker, or two workers of which neither started the other.
func (p *player) checkSingleOwner() {
	if len(p.open()) == 0 {
		return
	}
	var owners rig.ProcessInfos
	_, err := p.Until("each connection to be open in one process", func() (bool, string, error) {
		here, err := p.PortSockets()
		if err != nil {
			return false, "", err
		}
		all := p.socketOwners()
		for _, socket := range here.In(rig.Established, rig.CloseWait) {
			if owners = all[socket.Inode]; socket.Inode != 0 && !p.mayShare(owners) {
				return false, fmt.Sprintf("%v is open in %s", socket, p.server.Describe(owners)), nil
			}
		}
		return true, "", nil
	})
	if err == nil {
		return
	}
	p.Fail("one process must serve a connection: close it in the parent after fork, and in all other workers",
		"a connection is open in several processes at the same time: %s", p.server.Describe(owners))
}

// mayShare says whether the processes may share a connection: all of them are workers,
// or none is, and each but one was started by another of them.
func (p *player) mayShare(l rig.ProcessInfos) bool {
	if len(l) < 2 {
		return true
	}
	roots := 0
	for _, info := range l {
		if p.server.IsOwn(info) != p.server.IsOwn(l[0]) {
			return false
		}
		if !slices.ContainsFunc(l, func(o rig.ProcessInfo) bool { return o.PID == info.ParentPID }) {
			roots++
		}
	}
	return roots <= 1
}

// checkDescriptors fails the subject if its listener has more descriptors than that
// many clients explain.
func (p *player) checkDescriptors(clients int) {
	gained, err := p.AwaitGained(p.server.Listeners(), p.baseline, clients+p.traits.keptDescriptors)
	if err != nil {
		p.Fail("close each connection in the parent after fork, also if fork failed or the client has left",
			"with %d clients the listener has %d descriptors more than before its first client: %s", clients, len(gained), judge.Kinds(gained))
	}
}

// checkBaseline fails the subject if processes, descriptors or sockets are left when
// all clients have left.
func (p *player) checkBaseline() {
	if left, err := p.server.AwaitWorkers(0); err != nil {
		p.Fail("a worker must end with its client, and a stopped server with its last worker",
			"all clients have left, but these processes are still there: %v", left)
	}
	p.checkReaped()
	p.checkDescriptors(0)
	last, err := p.Until("the end of every connection", func() (bool, string, error) {
		here, err := p.PortSockets()
		var left []string
		for _, socket := range here {
			// A connection that the subject has closed stays where its client's reset was lost, as in a
			// network that failed.
			if socket.State != rig.Listening && socket.State != rig.TimeWait && !socket.Orphaned() {
				left = append(left, socket.String())
			}
		}
		return len(left) == 0, strings.Join(left, ", "), err
	})
	if err != nil {
		p.Fail("no connection may stay when its client has left: accept every connection, and close it",
			"all clients have left, but these connections are still there: %s", last)
	}
	p.checkListening()
}
