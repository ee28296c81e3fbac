// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/scorecard"
)

// maxCrowd is how many clients are held at a time to find out how they are served.
const maxCrowd = 32

// maxDial is for how long a client tries to connect: longer, the backlog is full.
const maxDial = 500 * time.Millisecond

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
		k, err := c.DialWithin(0, rig.Scaled(maxDial))
		if err != nil {
			break
		}
		if held = append(held, k); k.isServed(service) {
			served++
		}
	}
	c.describeCrowd(s, p, held[:served])
	c.leaveInOrder(held...)
}

// isServed says whether the subject serves the connection: it says what belongs to the hello and,
// where the service repeats, to a round, or else it accepts. It does not where it is at rest while
// the client waits for its words.
func (k *Conn) isServed(service dialogue.Service) bool {
	hears := &listening{stream: stream{k}}
	k.converse(service, hears)
	conversed := make(chan error, 1)
	go func() {
		err := k.Hello()
		if err == nil && len(service.Dialogue.Round) > 0 && service.Lacks(dialogue.Repeats) == "" {
			err = k.round()
		}
		conversed <- err
	}()
	w, accepting := k.Case.wait(), k.Case.stall.now()
	ticker := time.NewTicker(crowdPause)
	defer ticker.Stop()
	said := false
	var idle time.Duration // since when nothing is on its way, 0 where something was
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
			said, conversed, accepting = true, nil, k.Case.stall.now()
			continue
		case <-ticker.C:
		}
		since, waits := accepting, said
		if !said {
			since, waits = hears.since()
		}
		rests, err := k.Case.stall.restsSince(max(since, idle))
		switch {
		case err != nil || w.over() != nil:
			return false
		case !waits || !rests:
		case k.inFlight():
			idle = 0
		case idle == 0: // what was on its way may have come since the look, and be unread
			idle = k.Case.stall.now()
		default:
			return false
		}
	}
}

// inFlight says whether bytes have come that the client has not read, or bytes of either side are on
// their way: a kernel that is busy delivers them late.
func (k *Conn) inFlight() bool {
	mine := unmapped(k.LocalAddr().(*net.TCPAddr).AddrPort())
	for _, host := range []*rig.Host{k.client, k.Case.Host} {
		sockets, err := host.Sockets()
		if err != nil || slices.ContainsFunc(sockets, func(s rig.Socket) bool {
			return unmapped(s.Local) == mine && s.RecvQueue+s.SendQueue > 0 || unmapped(s.Remote) == mine && s.SendQueue > 0
		}) {
			return true
		}
	}
	return false
}

// listening is a stream that knows since when it waits for bytes.
type listening struct {
	stream
	mu    sync.Mutex
	waits bool
	from  time.Duration // on the stall detector's clock
}

// since returns the time since which the stream waits, if it does.
func (l *listening) since() (from time.Duration, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.from, l.waits
}

func (l *listening) set(from time.Duration, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.waits = from, waits
}

// Read implements [dialogue.Stream].
func (l *listening) Read(ctx context.Context, b []byte) (int, error) {
	l.set(l.Case.stall.now(), true)
	defer l.set(0, false)
	return l.stream.Read(ctx, b)
}

// crowdPause is the time between two looks at whether a client is accepted.
const crowdPause = 5 * time.Millisecond

// holder is a process that has connections open.
type holder struct {
	rig.ProcessInfo
	conns int
	stdin bool // one of them is its standard input
	polls bool // it has an epoll descriptor
}

// describeCrowd adds what the kernel shows while these clients are served.
func (c *Case) describeCrowd(s *Instance, p *Profile, held []*Conn) {
	if p.Seen.Lacks(dialogue.Repeats) != "" {
		c.AwaitRest() // clients that were not answered are accepted, and no more is known
	}
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
	stdin := false
	for _, h := range holders {
		if all = append(all, h.ProcessInfo); !s.IsOwn(h.ProcessInfo) {
			came = append(came, h.ProcessInfo)
			stdin = stdin || h.stdin
		}
	}
	if f.Model = s.model(holders, len(came), f.Clients); f.Model != scorecard.ForkPerConnection {
		f.User = cmp.Or(c.users(all), f.User)
		return
	}
	f.User = cmp.Or(c.users(came), f.User)
	listening, serving := c.programs(s.Listeners()), c.programs(came)
	if len(serving) == 1 && len(listening) > 0 && !slices.Contains(listening, serving[0]) {
		f.Program = serving[0]
		if stdin {
			f.Model = scorecard.Inetd
		}
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
	case came >= clients, came > 0 && len(s.Own) == 1:
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
				h.stdin = h.stdin || slices.ContainsFunc(fds, func(fd rig.FD) bool { return fd.Number == 0 && fd.Inode == uint64(inode) })
			}
		}
		h.polls = slices.ContainsFunc(fds, func(fd rig.FD) bool { return fd.Target == "anon_inode:[eventpoll]" })
		if h.conns > 0 {
			holders = append(holders, h)
		}
	}
	return holders
}
