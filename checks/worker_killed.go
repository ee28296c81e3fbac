// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

var workerKilled = judge.Check{
	Name:    "worker-killed",
	Meaning: "a worker that is killed or crashes affects only its own clients, and a pre-forked one is replaced",
	Defects: []string{"exit-on-killed-worker", "spin-on-killed-worker", "parent-keeps-conn"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		bystander := c.MustDial(0)
		c.MustServe(bystander.Begin())
		p := poolOf(c, s, bystander)
		if p != nil { // one worker may serve both
			c.MustServe(bystander.Finish())
		}
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV} {
			k, err := begin(c)
			if p == nil && bystander != nil && errors.Is(err, judge.ErrQuiescent) {
				c.Note("the subject serves one client at a time, so there is no bystander")
				c.CloseConnections()
				bystander = nil
				k, err = begin(c)
			}
			c.MustServe(err)
			var replaced rig.ProcessInfos
			if p == nil {
				killWorker(c, s, p, k, signal)
			} else {
				before := p.workers()
				killWorker(c, s, p, k, signal)
				replaced = p.awaitReplacement(before, signal)
			}
			if signal == syscall.SIGKILL { // once is enough, and takes half a second
				mustRest(c, s, p, replaced)
			}
			s.MustSurvive("the end of a worker by "+rig.SignalName(signal),
				"reap a worker, however it ended, and go on: its end must not end the listener")
		}
		if p != nil {
			c.Note("each was replaced; there are %d pre-forked workers", len(p.workers()))
			return
		}
		if bystander == nil {
			return
		}
		if err := bystander.Finish(); err != nil {
			c.Note("the conversation of another client ended as well: %v", err)
		}
	},
}

// mustRest fails the check where the listener works without end after a worker has ended, or
// starts one that ends at once. No client has come since, so nothing should have ended it.
func mustRest(c *judge.Case, s *judge.Instance, p *pool, replaced rig.ProcessInfos) {
	if loop := busyLoop(c, s, s.Listeners()); loop != "" {
		c.Fail("reap a worker that a signal ended like any other, and then wait for the next SIGCHLD",
			"SIGKILL ended a worker, and the listener is in a busy loop: %s", loop)
	}
	if len(replaced) == 0 {
		return
	}
	if now := p.workers(); len(judge.InBoth(now, replaced)) == 0 {
		c.Fail("find out why the new worker ends, and pause before the next start: it is started again and again",
			"a pre-forked worker is replaced by processes that end and are replaced at once: %v, and soon after %v", replaced, now)
	}
}

// killWorker ends the processes that serve the connection, and checks that its client is told.
func killWorker(c *judge.Case, s *judge.Instance, p *pool, k *judge.Conn, signal syscall.Signal) {
	c.AwaitRest() // what was forked has closed what it does not need
	inode, err := k.ServerInode()
	c.Must(err)
	workers := c.Holders(inode).Where(func(i rig.ProcessInfo) bool {
		if p != nil {
			return !i.Same(p.parent)
		}
		return !s.IsOwn(i)
	})
	if len(workers) == 0 {
		c.ConnectionEnded(k, "no worker has the connection open")
	}
	targets := c.Targets("the worker", workers)
	if signal == syscall.SIGKILL {
		c.Apply(fault.Kill{Targets: targets})
	} else {
		c.Apply(fault.Signal{Signal: signal, Targets: targets})
		c.Did(scorecard.WorkerKilled)
	}
	_, err = c.Until("the end of the worker", func() (bool, string, error) {
		all, err := c.Host.Processes()
		left := judge.InBoth(all.Alive(), workers)
		return len(left) == 0, left.String(), err
	})
	if judge.Hopeless(err) {
		c.Note("%s does not end a worker", rig.SignalName(signal))
		k.Close()
		return
	}
	c.Must(err)
	buffer := make([]byte, 1<<10)
	for err == nil {
		_, err = k.ReadFull(buffer) // what a greeting server had sent, and then the end
	}
	if judge.Hopeless(err) {
		c.Fail("close the connection in the parent after fork, and earlier ones in the child: the kernel sends FIN at the last close",
			"%s ended the worker, and its client sees no end of the stream: the connection is still open in %s",
			rig.SignalName(signal), s.Describe(c.Holders(inode)))
	}
	c.Note("%s ended a worker, and its client reads %s", rig.SignalName(signal), howItEnded(err))
	k.Close()
}

// pool is workers that were started before the first client.
type pool struct {
	c      *judge.Case
	s      *judge.Instance
	parent rig.ProcessInfo // which listens, too
	size   int             // how many workers it had before the first client
}

// poolOf returns the pool that the worker of the connection belongs to, or nil where the
// subject started the worker for that connection. It skips the check where the process that
// serves it is neither.
func poolOf(c *judge.Case, s *judge.Instance, k *judge.Conn) *pool {
	c.AwaitRest()
	inode, err := k.ServerInode()
	c.Must(err)
	if inode == 0 {
		c.Skip("the check needs a connection that stays open while its client is silent: this subject closes it")
	}
	holders := c.Holders(inode)
	if slices.ContainsFunc(holders, func(i rig.ProcessInfo) bool { return !s.IsOwn(i) }) {
		return nil
	}
	for _, parent := range s.Listeners() {
		if slices.ContainsFunc(holders, func(i rig.ProcessInfo) bool { return i.ParentPID == parent.PID }) {
			p := &pool{c: c, s: s, parent: parent}
			p.size = len(p.workers())
			return p
		}
	}
	if len(holders) == 0 {
		c.ConnectionEnded(k, "the connection ended before its worker could be found")
	}
	c.Skip("the check needs a process for each connection, or pre-forked workers whose parent listens, too: here the connection is open in %s", s.Describe(holders))
	return nil
}

// workers returns the processes of the pool that live and listen.
func (p *pool) workers() rig.ProcessInfos {
	listening := listening(p.c)
	all, err := p.c.Host.Processes()
	p.c.Must(err)
	return all.Alive().Where(func(i rig.ProcessInfo) bool {
		fds, err := p.c.Host.FDs(i)
		return err == nil && i.ParentPID == p.parent.PID &&
			slices.ContainsFunc(listening, func(l rig.Socket) bool { return fds.Socket(l.Inode) })
	})
}

// awaitReplacement waits until the pool is as large as it was, and returns the workers that
// are new. A pool that has spare ones need not be: then all are killed, and some must be started.
func (p *pool) awaitReplacement(before rig.ProcessInfos, signal syscall.Signal) rig.ProcessInfos {
	isNew := func(i rig.ProcessInfo) bool { return !slices.ContainsFunc(before, i.Same) }
	now, enough := p.await(p.size)
	if !enough {
		c := p.c
		others := now
		c.Apply(fault.Kill{Targets: c.Targets("the other pre-forked workers", others)})
		p.size = 1
		now, enough = p.await(p.size)
		if !enough {
			now, enough = p.awaitTimer(p.size)
		}
		if !enough {
			c.Fail("on SIGCHLD reap the worker and start another one",
				"%s ended a pre-forked worker, and SIGKILL the other %d, and none is replaced", rig.SignalName(signal), len(others))
		}
		c.Note("%s ended a pre-forked worker, which is replaced after the other %d were killed", rig.SignalName(signal), len(others))
	}
	return now.Where(isNew)
}

// await waits until the pool has so many workers, and returns those that it has.
func (p *pool) await(n int) (now rig.ProcessInfos, enough bool) {
	_, err := p.c.Until("the replacement of a worker", func() (bool, string, error) {
		now = p.workers()
		return len(now) >= n, now.String(), nil
	})
	return now, err == nil
}

// awaitTimer is await for a parent that waits with a timer, and may take its time.
func (p *pool) awaitTimer(n int) (now rig.ProcessInfos, enough bool) {
	if !p.c.HasTimer(rig.ProcessInfos{p.parent}) {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(p.c.Context(), rig.Scaled(maxReplaceTime))
	defer cancel()
	_, err := p.c.Host.AwaitProcesses(ctx, "the replacement of a worker", func(rig.ProcessInfos) bool {
		now = p.workers()
		return len(now) >= n
	})
	return now, err == nil
}

// maxReplaceTime is how long a subject may take to replace a worker.
const maxReplaceTime = 5 * time.Second
