// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// maxCrowd is how many clients are held at a time to find out how they are served.
const maxCrowd = 32

// crowd finds out how many clients the subject serves at a time, and how: clients come one
// after the other and stay, until one is not served when the subject is at rest. Then all leave
// in order.
func (c *Case) crowd(p *Profile) {
	s := c.latest()
	service, err := p.Apply(c.Subject).spoken()
	c.Must(err)
	var held []*Conn
	served := 0
	for served < maxCrowd && served == len(held) {
		k, err := c.DialWithin(0, rig.Scaled(restTime))
		if err != nil {
			break
		}
		k.converse(service, stream{k})
		if held = append(held, k); k.served() {
			served++
		}
	}
	c.describeCrowd(s, p, held[:served])
	for _, k := range held {
		_ = k.CloseWrite() // the subject may have reset it
	}
	c.AwaitRest()
	for _, k := range held {
		k.discard()
		k.Close()
	}
}

// served says whether the subject serves the connection: it says what belongs to the hello and,
// where the service repeats, to a round, or else it accepts.
func (k *Conn) served() bool {
	conversed := make(chan error, 1)
	go func() {
		err := k.Hello()
		if err == nil && len(k.service.Dialogue.Round) > 0 && k.service.Lacks(dialogue.Repeats) == "" {
			err = k.round()
		}
		conversed <- err
	}()
	from, began := k.Case.stall.now(), time.Now()
	ticker := time.NewTicker(crowdPause)
	defer ticker.Stop()
	said := false
	for {
		if said {
			accepted, err := k.Accepted()
			if err == nil && !accepted {
				_, err = k.SpeakIfDeferred()
			}
			if accepted || err != nil {
				return accepted && err == nil
			}
		}
		select {
		case err := <-conversed:
			if err != nil {
				return false
			}
			said, conversed = true, nil
			continue
		case <-k.Case.Context().Done():
			return false
		case <-ticker.C:
		}
		still, err := k.Case.stall.stillFor(from)
		if err != nil || still >= restTime || time.Since(began) >= rig.Scaled(rig.Settling) {
			return false
		}
	}
}

// crowdPause is the time between two looks at whether a client is accepted.
const crowdPause = 5 * time.Millisecond

// holder is a process that has connections open.
type holder struct {
	rig.ProcessInfo
	conns int
	polls bool // it has an epoll descriptor
}

// describeCrowd adds what the kernel shows while these clients are served.
func (c *Case) describeCrowd(s *Instance, p *Profile, held []*Conn) {
	inodes := c.inodesOf(held)
	if len(inodes) < len(held) { // it closes some by itself
		c.AwaitRest()
		inodes = c.inodesOf(held)
	}
	holders := c.holdersOf(inodes)
	f := &p.facts
	f.Clients = len(inodes)
	if len(holders) == 0 {
		return
	}
	var all, came rig.ProcessInfos
	for _, h := range holders {
		if all = append(all, h.ProcessInfo); !s.IsOwn(h.ProcessInfo) {
			came = append(came, h.ProcessInfo)
		}
	}
	if f.Model = s.model(holders, len(came), f.Clients); f.Model != scorecard.ForkPerConnection {
		f.User = cmp.Or(c.users(all), f.User)
		return
	}
	f.User = cmp.Or(c.users(came), f.User)
	listening, serving := c.programs(s.Listeners()), c.programs(came)
	if len(serving) == 1 && len(listening) > 0 && !slices.Contains(listening, serving[0]) {
		f.Model, f.Program = scorecard.Inetd, serving[0]
	}
}

// inodesOf returns the sockets by which the subject holds the connections.
func (c *Case) inodesOf(held []*Conn) (inodes []uint32) {
	sockets, err := c.PortSockets()
	c.Must(err)
	clients := map[netip.AddrPort]bool{}
	for _, k := range held {
		clients[unmapped(k.LocalAddr().(*net.TCPAddr).AddrPort())] = true
	}
	for _, there := range sockets.In(rig.Established) {
		if there.Inode != 0 && clients[unmapped(there.Remote)] {
			inodes = append(inodes, there.Inode)
		}
	}
	return inodes
}

// model tells how clients are served from the processes that have their connections, of which
// some came with these.
func (s *Instance) model(holders []holder, came, clients int) scorecard.Model {
	most := slices.MaxFunc(holders, func(a, b holder) int { return a.conns - b.conns })
	switch {
	case came >= clients:
		return scorecard.ForkPerConnection
	case most.conns == 1 && (len(holders) > 1 || s.preForked):
		return scorecard.PreForked
	case most.conns == 1:
		return scorecard.OneAtATime
	}
	threads := 0
	for _, own := range s.Own {
		if own.Same(most.ProcessInfo) {
			threads = own.Threads
		}
	}
	// A runtime that polls starts some threads, too, and has idle ones before.
	const few = 8
	grown := most.Threads - threads
	switch {
	case most.polls && most.conns >= few && grown >= most.conns*3/4,
		!most.polls && (grown >= most.conns-1 || most.Threads >= most.conns):
		return scorecard.Threads
	}
	return scorecard.EventLoop
}

// holdersOf returns the processes that have one of the sockets open.
func (c *Case) holdersOf(inodes []uint32) (holders []holder) {
	processes, err := c.Host.Processes()
	c.Must(err)
	for _, info := range processes.Alive() {
		fds, err := c.Host.FDs(info)
		if err != nil {
			continue // it has ended
		}
		h := holder{ProcessInfo: info}
		for _, inode := range inodes {
			if fds.Socket(inode) {
				h.conns++
			}
		}
		h.polls = slices.ContainsFunc(fds, func(fd rig.FD) bool { return fd.Target == "anon_inode:[eventpoll]" })
		if h.conns > 0 {
			holders = append(holders, h)
		}
	}
	return holders
}
