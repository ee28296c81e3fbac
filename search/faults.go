// SPDX-License-Identifier: Apache-2.0

package search

import (
	"slices"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

// minFault is how long a fault lasts at least, so that the subject has time to meet
// it. No verdict depends on it.
const minFault = 10 * time.Millisecond

// awaitMinFault waits until the latest fault has lasted that long.
func (p *player) awaitMinFault() {
	select {
	case <-time.After(time.Until(p.faultBegan.Add(minFault))):
	case <-p.Context().Done():
	}
}

func (p *player) killWorker(c *conversation) bool {
	inode, err := c.ServerInode()
	p.Must(err)
	workers := p.workersOf(c)
	if len(workers) == 0 {
		return false
	}
	p.Apply(fault.Kill{Targets: p.Targets("the worker of "+c.String(), workers)})
	c.excuse = "its worker was killed"
	if !p.reachable(c) {
		return true
	}
	c.halfClosed = true // nothing but the end of the stream can come any more
	if err := p.receive(c); judge.Hopeless(err) {
		p.Fail("the end of a worker must end its connection: close it in the parent and in all other workers",
			"the worker of %v was killed, but its client does not see the end: %v; the connection is open in %s", c, judge.FirstLine(err), p.server.Describe(p.Holders(inode)))
	} else {
		p.checkConversation(c, err)
	}
	return true
}

// The rate of a storm hits every system call, and leaves the machine to others. It
// ends by itself in a story that takes long: during a storm the subject is never
// quiescent, which is how a stall is noticed.
const (
	stormRatePerSecond = 2000
	maxStorm           = time.Second
)

func (p *player) storm() bool {
	if len(p.storms) > 0 {
		return false
	}
	begin := func(signals []syscall.Signal, targets []rig.Target) {
		storm := rig.Storm{Signals: signals, Targets: targets, RatePerSecond: stormRatePerSecond, Duration: maxStorm}
		p.storms = append(p.storms, p.Apply(&fault.Storm{Storm: storm, MayIdle: true}))
	}
	if signals := p.server.NeutralSignals(); len(signals) > 0 {
		begin(signals, p.server.ListenerTargets())
	}
	// Without a handler, too, these interrupt calls with a timeout, and cut a send
	// short (signal(7)).
	begin([]syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}, p.server.WorkerTargets())
	p.faultBegan = time.Now()
	return true
}

func (p *player) endStorm() bool {
	if len(p.storms) == 0 {
		return false
	}
	p.awaitMinFault()
	for _, end := range p.storms {
		end()
	}
	p.storms = nil
	return true
}

// restart stops the server as an administrator does, and starts it again.
func (p *player) restart() bool {
	p.endStorm()
	p.endShortage()
	head := p.server.Head()
	for _, c := range p.open() {
		workersGoOn := p.Subject.OnTerm == judge.Drain || p.Subject.OnTerm == judge.Leave
		if !workersGoOn || len(p.workersOf(c)) == 0 {
			c.addExcuse("the server was stopped")
		} else if c.drainedBy == nil {
			c.drainedBy = &head
		}
	}
	p.server.Terminate()
	p.startAgain("SIGTERM")
	return true
}

// crash kills the listener, and starts the server again.
func (p *player) crash() bool {
	p.endStorm()
	p.endShortage()
	for _, c := range p.open() {
		c.addExcuse("the listener was killed")
	}
	p.Apply(fault.Kill{Targets: p.server.OwnTargets()})
	p.startAgain("SIGKILL")
	return true
}

// startAgain waits until no socket listens, and starts the server.
func (p *player) startAgain(after string) {
	if last, err := p.AwaitNoListener(); err != nil {
		p.Fail("a stopped server must not listen: close the listening socket at once, and in workers after fork",
			"after %s a socket still listens: %s", after, last)
	}
	if err := p.start(); err != nil {
		p.Fail("a stopped server must start again on its port at once: set SO_REUSEADDR to 1 before bind",
			"after %s the server does not start again: %v", after, judge.FirstLine(err))
	}
}

// awaitResets waits until the server's kernel has processed the resets of the client:
// one that is lost is not sent again.
func (p *player) awaitResets(client int) {
	_, err := p.Until("resets to arrive", func() (bool, string, error) {
		for _, c := range p.conversations {
			if c.client != client || !c.ended {
				continue
			}
			if socket, there, err := c.ServerSocket(); err != nil || there && socket.State == rig.Established {
				return false, socket.String(), err
			}
		}
		return true, "", nil
	})
	if !judge.Hopeless(err) {
		p.Must(err)
	}
}

func (p *player) unplug(client int) bool {
	if p.unplugged[client] != nil {
		return false
	}
	p.awaitResets(client)
	p.unplugged[client] = p.Apply(fault.Unplugged{Host: p.Clients[client-1]})
	p.faultBegan = time.Now()
	return true
}

func (p *player) plug(client int) bool {
	heal := p.unplugged[client]
	if heal == nil {
		return false
	}
	p.awaitMinFault()
	heal()
	delete(p.unplugged, client)
	p.unnoticed = slices.DeleteFunc(p.unnoticed, func(c *conversation) bool { return c.client == client })
	return true
}

func (p *player) exhaustDescriptors() bool {
	if p.shortage != nil {
		return false
	}
	p.beginShortage(fault.NoDescriptors{Targets: p.server.ListenerTargets()})
	return true
}

func (p *player) exhaustProcesses() bool {
	if p.shortage != nil || !p.traits.forks {
		return false
	}
	p.beginShortage(fault.Limit{Targets: p.server.OwnTargets(), Resource: rig.UserProcesses, Soft: 0})
	return true
}

// beginShortage begins a shortage, and excuses the connections that may not have been
// accepted yet.
func (p *player) beginShortage(f fault.Fault) {
	p.shortage = p.Apply(f)
	for _, c := range p.open() {
		if !c.served {
			c.addExcuse("a shortage began before it was served")
		}
	}
}

func (p *player) endShortage() bool {
	if p.shortage == nil {
		return false
	}
	p.awaitMinFault()
	p.shortage()
	p.shortage = nil
	return true
}
