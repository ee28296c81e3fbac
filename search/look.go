package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"forkrig/judge"
	"forkrig/rig"
)

// look compares what can be seen after an action with what must be.
func (p *player) look() {
	p.listens()
	if len(p.storms) == 0 { // which keeps everybody from coming to rest
		p.reaped()
		p.heldOnce()
		p.fewDescriptors(len(p.open()) + len(p.gone))
	}
	p.drained()
	for _, k := range p.open() {
		if p.due(k) && (len(k.owed) > 0 || k.half) {
			p.judge(k, p.collect(k))
		}
	}
}

// finish heals everything, lets every client leave, and compares with the
// baseline.
func (p *player) finish() {
	p.release()
	for client := range Clients {
		p.join(client + 1)
	}
	p.listens()
	p.drained()
	rest := p.open()
	// Those that are served make room for those that wait.
	slices.SortStableFunc(rest, func(a, b *talk) int {
		switch {
		case a.served == b.served:
			return 0
		case a.served:
			return -1
		}
		return 1
	})
	for i, k := range rest {
		if p.traits.AtOnce > 0 && !k.served && i < len(rest)-1 {
			p.hangUp(k) // it may have to wait for another one
			continue
		}
		if !k.half && !(k.served && p.subject.Closes == judge.Server) {
			p.exchange(k, 40)
		}
		if !k.ended {
			p.judge(k, p.collect(k))
		}
		p.hangUp(k)
	}
	p.calm()
	p.baseline()

	k := p.connect(maxConn+1, Clients)
	p.exchange(k, 40)
	p.hangUp(k)
	p.baseline()
}

// listens makes sure that somebody listens.
func (p *player) listens() {
	_, err := p.Until("listening", func() (bool, string, error) {
		here, err := p.Sockets()
		if err != nil || len(here.In(rig.Listening)) > 0 {
			return true, "", err
		}
		if ended := p.HowItEnded(); ended != "" {
			all, err := p.Host().Processes()
			if !slices.ContainsFunc(all.Alive(), p.IsOwn) {
				return false, "", errors.Join(fmt.Errorf("the listener has ended%s", ended), err)
			}
		}
		return false, "nobody listens", nil
	})
	if err != nil {
		p.Fail("nothing that happens to clients, and no shortage, is a reason to end the listener", "nobody listens any more%s", p.HowItEnded())
	}
}

// reaped makes sure that no zombie lasts.
func (p *player) reaped() {
	all, err := p.Host().Processes()
	p.Must(err)
	if len(all.Zombies()) == 0 {
		return
	}
	_, err = p.Until("zombies reaped", func() (bool, string, error) {
		all, err = p.Host().Processes()
		return len(all.Zombies()) == 0, all.Zombies().String(), err
	})
	if err == nil {
		return
	}
	if !p.Hasty() {
		lasting, err := p.Host().AwaitReaped(p.Context())
		p.Must(err)
		all = lasting
	}
	if len(all.Zombies()) == 0 {
		return
	}
	if p.traits.Lazy && p.ReapedByTimer() {
		p.waited = true
		return
	}
	p.Fail("workers that ended must be waited for, whatever came before: waitpid(-1, &status, WNOHANG) in a loop whenever SIGCHLD comes",
		"%d workers that ended are not waited for", len(all.Zombies()))
}

// drained makes sure that a server that is to wait for its workers after SIGTERM
// has not ended while they converse.
func (p *player) drained() {
	if p.subject.OnTerm != judge.Drain {
		return
	}
	all, err := p.Host().Processes()
	p.Must(err)
	for _, k := range p.open() {
		if k.excused == "" && !k.half && k.drains != nil && !slices.ContainsFunc(all.Alive(), k.drains.Same) {
			p.Fail("whoever waits for the end of the server takes it for the end of all: wait for the workers before the listener ends",
				"the server has ended after SIGTERM while %v converses on", k)
		}
	}
}

// holders are the processes that have each socket open.
func (p *player) holders() map[uint32]rig.ProcessInfos {
	all, err := p.Host().Processes()
	p.Must(err)
	found := map[uint32]rig.ProcessInfos{}
	for _, info := range all.Alive() {
		fds, err := p.Host().FDs(info)
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

// inode is that of the server's side of the connection, or 0.
func (p *player) inode(k *talk) uint32 {
	socket, _, err := k.Server()
	p.Must(err)
	return socket.Inode
}

// heldOnce makes sure that no connection is in the hands of two: of the listener
// and a worker, or of two workers of which neither started the other.
func (p *player) heldOnce() {
	if len(p.open()) == 0 {
		return
	}
	var twice rig.ProcessInfos
	_, err := p.Until("each connection in one hand", func() (bool, string, error) {
		here, err := p.Sockets()
		if err != nil {
			return false, "", err
		}
		holders := p.holders()
		for _, socket := range here.In(rig.Established, rig.CloseWait) {
			if twice = holders[socket.Inode]; socket.Inode != 0 && !p.related(twice) {
				return false, fmt.Sprintf("%v is open in %s", socket, p.Described(twice)), nil
			}
		}
		return true, "", nil
	})
	if err == nil {
		return
	}
	p.Fail("a connection is served by one: close it in the parent after fork, also when something went wrong, and keep it from other workers",
		"a connection is open in %s at a time", p.Described(twice))
}

// related says whether the processes may share a connection: all of them came
// with connections, or none, and each but one was started by another of them.
func (p *player) related(l rig.ProcessInfos) bool {
	if len(l) < 2 {
		return true
	}
	strangers := 0
	for _, info := range l {
		if p.IsOwn(info) != p.IsOwn(l[0]) {
			return false
		}
		if !slices.ContainsFunc(l, func(o rig.ProcessInfo) bool { return o.PID == info.ParentPID }) {
			strangers++
		}
	}
	return strangers <= 1
}

// fewDescriptors makes sure that the listener has no more descriptors than so many
// clients explain.
func (p *player) fewDescriptors(clients int) {
	allowed := clients + p.traits.Kept
	var beyond rig.FDs
	_, err := p.Until("descriptors within bounds", func() (bool, string, error) {
		beyond = nil
		for pid, now := range descriptors(p.Scene) {
			beyond = append(beyond, judge.Gained(p.before[pid], now)...)
		}
		return len(beyond) <= allowed, beyond.String(), nil
	})
	if err != nil {
		p.Fail("a descriptor that is kept without need is missing in the end: close each connection in the parent after fork, also when fork failed or the client has gone",
			"with %d clients the listener has %d descriptors more than before the first one: %s", clients, len(beyond), judge.Kinds(beyond))
	}
}

// baseline makes sure that all is as it was before the first connection.
func (p *player) baseline() {
	last, err := p.Until("the end of every worker", func() (bool, string, error) {
		all, err := p.Host().Processes()
		left := slices.DeleteFunc(all.Alive(), p.IsOwn)
		return len(left) == 0, left.String(), err
	})
	if err != nil {
		p.Fail("a worker must end when its client has left, and a server that was stopped when its last worker has: read until the end of the stream or an error, and exit then",
			"every client has left, and there are still: %s", last)
	}
	p.reaped()
	p.fewDescriptors(0)
	last, err = p.Until("the end of every connection", func() (bool, string, error) {
		here, err := p.Sockets()
		var left []string
		for _, socket := range here {
			if socket.State != rig.Listening && socket.State != rig.TimeWait {
				left = append(left, socket.String())
			}
		}
		return len(left) == 0, strings.Join(left, ", "), err
	})
	if err != nil {
		p.Fail("when every client has left no connection may be left: accept each, and close it", "every client has left, and there are still: %s", last)
	}
	p.listens()
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
