// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"slices"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var finOnClose = judge.Check{
	Name:    "fin-on-close",
	Meaning: "when the subject drops a connection, its client sees the end of the stream",
	Defects: []string{"parent-keeps-conn"},
	Clients: 2,
	Run: func(c *judge.Case) {
		s := c.Start("")
		clients := c.Hold(2)
		k := clients[0]
		worker, _ := s.FindWorker(k)
		inode, err := k.ServerInode()
		c.Must(err)
		if len(worker) == 0 {
			droppedConnection(c, s, k, inode)
			return
		}
		if len(clients) > 1 {
			// The later worker came when the first connection was open.
			later := s.Worker(clients[1])
			worker = slices.DeleteFunc(worker, func(i rig.ProcessInfo) bool { return slices.ContainsFunc(later, i.Same) })
		}
		family, err := s.Family(worker)
		c.Must(err)
		c.Apply(fault.Kill{Targets: c.Targets("the worker", family)})
		buffer := make([]byte, 1<<10)
		for err == nil {
			_, err = k.ReadFull(buffer) // what a greeting server had sent, and then the end
		}
		if errors.Is(err, judge.ErrQuiescent) {
			c.Fail("close the connection in the parent after fork, and earlier ones in the child: the kernel sends FIN at the last close",
				"the worker ended, and its client sees no end of the stream: the connection is still open in %s", s.Describe(c.Holders(inode)))
		}
		c.Note("the client of the killed worker reads %s", howItEnded(err))
	},
}

// droppedConnection is the form for a subject without a process for each connection: it has no
// reason to keep a connection whose client has taken its leave.
func droppedConnection(c *judge.Case, s *judge.Instance, k *judge.Conn, inode uint32) {
	if c.Service.Lacks(dialogue.Repeats) != "" {
		c.MustServe(k.Exchange()) // which others had to be connected
	}
	err := k.AwaitDropped()
	if !judge.Hopeless(err) {
		c.MustServe(err)
		c.Note("the client of the dropped connection sees the end of the stream")
		return
	}
	holders := c.Holders(inode)
	last, later := c.UntilTimer(holders, "the end of the connection", func() (bool, string, error) {
		socket, there, err := k.ServerSocket()
		return !there || socket.Inode != inode, socket.String(), err
	})
	switch {
	case later == nil:
		c.Note("the subject drops the connection after a while, by a timer")
	case c.Service.Lacks(dialogue.Answers) != "":
		c.Skip("the check needs a process for each connection, or a subject that drops a connection when its client closes the sending side: "+
			"this one keeps it in %s", s.Describe(holders))
	default:
		c.Fail("close the connection and each copy of it (dup, fork, a descriptor passed to a process) when read returns 0 or the dialogue is over: the kernel sends FIN at the last close",
			"the client has left, and sees no end of the stream: the connection is still open in %s: %s", s.Describe(holders), last)
	}
}
