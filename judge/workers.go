// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"slices"

	"forkrig/rig"
	"forkrig/scorecard"
)

// Workers are the processes that came with connections and are alive. One that took the
// place of a pre-forked process is none: where several processes accepted from the
// beginning, such a process has the listening socket, and no connection.
func (s *Instance) Workers() (workers rig.ProcessInfos, err error) {
	processes, err := s.Case.Host.Processes()
	if err != nil {
		return nil, err
	}
	here, err := s.Case.PortSockets()
	for _, info := range processes.Alive() {
		if !s.IsOwn(info) && !(s.preForked && s.accepts(info, here)) {
			workers = append(workers, info)
		}
	}
	return workers, err
}

// accepts says whether the process has a listening socket of the port, and no connection.
func (s *Instance) accepts(info rig.ProcessInfo, here rig.Sockets) bool {
	fds, err := s.Case.Host.FDs(info)
	if err != nil {
		return false
	}
	has := func(k rig.Socket) bool { return k.Inode != 0 && fds.Socket(k.Inode) }
	return slices.ContainsFunc(here.In(rig.Listening), has) &&
		!slices.ContainsFunc(here, func(k rig.Socket) bool { return k.State != rig.Listening && has(k) })
}

// AwaitWorkers waits until at most n workers are alive, and returns those that are.
func (s *Instance) AwaitWorkers(n int) (alive rig.ProcessInfos, err error) {
	_, err = s.Case.Until("the end of the workers", func() (bool, string, error) {
		var err error
		alive, err = s.Workers()
		return len(alive) <= n, alive.String(), err
	})
	return alive, err
}

// AwaitWorkersEnd waits until no worker is alive, and fails the check where one stays.
func (s *Instance) AwaitWorkersEnd(after string) {
	if left, err := s.AwaitWorkers(0); err != nil {
		s.Case.Fail("read until read returns 0 or an error, and exit then: workers outlive their clients",
			"%s after %s: %v", scorecard.Counted(len(left), "worker lives on", "workers live on"), after, FirstLine(err))
	}
}

// Family returns the processes that came with the same connections as these workers: they,
// their parents up to the listener, and the descendants of all of them. Some servers have
// two processes for a connection, one with privileges and one without.
func (s *Instance) Family(workers rig.ProcessInfos) (family rig.ProcessInfos, err error) {
	all, err := s.Case.Host.Processes()
	if err != nil {
		return nil, err
	}
	byNumber := map[int]rig.ProcessInfo{}
	for _, info := range all.Alive() {
		byNumber[info.PID] = info
	}
	for _, info := range workers {
		for parent, ok := byNumber[info.ParentPID]; ok && !s.IsOwn(parent); parent, ok = byNumber[info.ParentPID] {
			info = parent
		}
		for _, member := range append(rig.ProcessInfos{info}, all.Descendants(info.PID).Alive()...) {
			if !slices.ContainsFunc(family, member.Same) {
				family = append(family, member)
			}
		}
	}
	return family, nil
}

// Worker returns the processes that serve the connection and were not there
// before the first one. It skips the check where there is none.
func (s *Instance) Worker(k *Conn) rig.ProcessInfos {
	workers, instead := s.FindWorker(k)
	if len(workers) == 0 {
		s.Case.needsWorker(instead)
	}
	return workers
}

func (c *Case) needsWorker(instead string) {
	c.Skip("the check needs a process for each connection: %s", instead)
}

// FindWorker returns the processes that serve the connection and were not there before the
// first one. Where there is none, instead says in words how the subject serves.
func (s *Instance) FindWorker(k *Conn) (workers rig.ProcessInfos, instead string) {
	find := func() (holders rig.ProcessInfos, err error) {
		inode, err := k.ServerInode()
		if err != nil || inode == 0 {
			// It may have ended already, and show as a zombie.
			all, listErr := s.Case.Host.Processes()
			workers = slices.DeleteFunc(all.Zombies(), s.IsOwn)
			return nil, errors.Join(err, listErr)
		}
		holders = s.Case.Holders(inode)
		workers = slices.DeleteFunc(slices.Clone(holders), s.IsOwn)
		return holders, nil
	}
	var holders rig.ProcessInfos
	var err error
	if s.Case.AwaitRest() { // it would have forked
		holders, err = find()
		s.Case.Must(err)
	}
	if len(holders) == 0 {
		_, err = s.Case.Until("the worker of a connection", func() (bool, string, error) {
			holders, err = find()
			return len(workers) > 0, "the connection is open in " + s.Describe(holders), err
		})
		if !Hopeless(err) {
			s.Case.Must(err)
		}
	}
	switch {
	case len(workers) > 0:
	case len(holders) == 0:
		instead = "the kernel shows none, because this subject keeps no connection open"
	default:
		instead = s.withoutWorkers()
	}
	return workers, instead
}

// withoutWorkers says in words how the subject serves where no process comes with a connection.
func (s *Instance) withoutWorkers() string {
	if len(s.Own) == 1 {
		return "this subject serves all clients in one process"
	}
	return "this subject serves clients in processes that it had before the first one"
}

// serves is [Instance.withoutWorkers] where the connection is open in such a process now, and ""
// where the kernel does not show that.
func (s *Instance) serves(k *Conn) string {
	inode, err := k.ServerInode()
	if err != nil || inode == 0 {
		return ""
	}
	if holders := s.Case.Holders(inode); len(holders) == 0 || slices.ContainsFunc(holders, func(i rig.ProcessInfo) bool { return !s.IsOwn(i) }) {
		return ""
	}
	return s.withoutWorkers()
}

// MustFork skips the check where the subject has no process for a connection. It uses one
// client, and returns when the worker of that client has ended.
func (s *Instance) MustFork() {
	k := s.Case.MustDial(0)
	s.Case.MustServe(k.Begin())
	s.Worker(k)
	s.Case.MustServe(k.Finish())
	s.AwaitWorkersEnd("its client left")
}
