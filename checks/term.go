// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"slices"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/scorecard"
)

var term = judge.Check{
	Name:    "term",
	Meaning: "SIGTERM ends the listener, the port is free, and no worker is left behind to hold it",
	Defects: []string{"ignore-sigterm", "orphans-on-term"},
	Clients: 2,
	Binds:   true,
	Run: func(c *judge.Case) {
		s := c.Start("")
		k := c.MustDial(0)
		c.MustServe(k.Begin())
		who := s.Serving(k)
		s.MustListen()
		s.Terminate()
		if last, err := c.AwaitNoListener(); err != nil {
			failToEnd(c, s, k, last)
		}
		c.AwaitRest() // what SIGTERM does to workers has been done
		policy(c, s, who, k)

		k.Close()
		_, err := c.Until("the end of every process", func() (bool, string, error) {
			left, err := c.Host.Processes()
			return len(left) == 0, left.String(), err
		})
		if err != nil {
			left, listErr := c.Host.Processes()
			c.Must(listErr)
			c.Fail("end every process of the subject on SIGTERM, at the latest when its last client has left",
				"%s after SIGTERM and the end of the last client: %s", scorecard.Counted(len(left), "process stays", "processes stay"), s.Describe(left))
		}
		c.Start("set SO_REUSEADDR to 1 before bind, and leave no process that holds the socket: the port is not free after SIGTERM")
		c.MustServe(c.Visit(0))
	},
}

// failToEnd fails the check with the reason why the port still listens after SIGTERM.
func failToEnd(c *judge.Case, s *judge.Instance, k *judge.Conn, last string) {
	holders := c.Holders(s.Listener.Inode)
	if !slices.ContainsFunc(holders, s.IsOwn) {
		c.Fail("close the listening socket in the child after fork, or make it close-on-exec: a worker still holds it",
			"the listener has ended after SIGTERM, but the listening socket is still held by %s", s.Describe(holders))
	}
	k.Close()
	if _, err := c.Until("the end of listening", func() (bool, string, error) { return !c.Listens(), "", nil }); err == nil {
		c.Fail("close the listening socket at once on SIGTERM, and then finish with the clients: new ones connect and are not served",
			"it listens on after SIGTERM until its last client has left: %s", last)
	}
	c.Fail("let SIGTERM interrupt accept or poll: otherwise the subject ends only when the next client comes",
		"it listens on after SIGTERM: %s; %s", s.Describe(holders), last)
}

// policy compares what became of a worker that still converses with what the
// user asked for, or reports it.
func policy(c *judge.Case, s *judge.Instance, who rig.ProcessInfos, k *judge.Conn) {
	processes, err := c.Host.Processes()
	c.Must(err)
	living := judge.InBoth(processes.Alive(), who)
	parents := judge.InBoth(processes.Alive(), s.Own)
	found := judge.Drain
	switch {
	case len(living) == 0 || len(parents) > 0 && exchangeAfterTerm(k) != nil:
		found = judge.Kill
	case len(parents) == 0:
		found = judge.Leave
	}
	if found == judge.Leave || found == judge.Drain {
		err := exchangeAfterTerm(k)
		if now, listErr := c.Host.Processes(); err != nil && listErr == nil && len(judge.InBoth(now.Alive(), who)) == 0 {
			found, err = judge.Kill, nil // it was given some time, which was over by then
		}
		if err != nil {
			c.Fail("serve the client after SIGTERM, or end the worker", "after SIGTERM a worker lives and does not answer: %v", err)
		}
	}
	meaning := map[judge.Policy]string{
		judge.Drain: "the listener stops listening and waits for its worker",
		judge.Kill:  "the worker ends during its conversation",
		judge.Leave: "the listener ends and its worker serves on",
	}[found]
	wanted := c.Subject.OnTerm
	switch {
	case wanted == judge.Unstated:
		c.Note("%s (%s); without -on-term each policy passes", meaning, found)
	case wanted == found:
		c.Note("%s (%s)", meaning, found)
	case wanted == judge.Drain && found == judge.Leave:
		c.Fail("wait for the workers and then end: the listener ends before them",
			"wanted drain, found leave: after SIGTERM %s", meaning)
	case wanted == judge.Kill && found != judge.Kill:
		c.Fail("end the workers on SIGTERM, too: they live until their clients leave",
			"wanted kill, found %s: after SIGTERM %s", found, meaning)
	default:
		c.Fail("change the subject or -on-term: it follows another policy", "wanted %s, found %s: after SIGTERM %s", wanted, found, meaning)
	}
}

// exchangeAfterTerm says whether the conversation goes on.
func exchangeAfterTerm(k *judge.Conn) error {
	if k.Case.Service.Lacks(dialogue.Repeats) != "" {
		inode, err := k.ServerInode()
		if err == nil && inode == 0 {
			err = judge.ErrQuiescent
		}
		return err
	}
	return k.Exchange()
}
