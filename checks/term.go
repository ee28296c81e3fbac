package checks

import (
	"slices"
	"syscall"

	"forkrig/rig"
)

var term = Check{
	Name:    "term",
	Meaning: "SIGTERM ends the listener, the port is free, and no worker is left behind to hold it",
	Defects: []string{"ignore-sigterm", "orphans-on-term"},
	clients: 2,
	binds:   true,
	run: func(c *Case) {
		s := c.start("")
		k := c.mustDial(0)
		c.mustServe(k.begin())
		who := c.serving(s, k)
		if c.settled(); !s.listens() {
			c.broken("the listener has ended before SIGTERM%s", s.howItEnded())
		}
		head := s.head()
		_, err := c.lab.SignalAll(syscall.SIGTERM, c.host.Matching("the first process", head.Same))
		c.must(err)
		last, err := c.until("the end of listening", func() (bool, string, error) {
			here, err := c.onPort()
			return len(here.In(rig.Listening)) == 0, here.In(rig.Listening).String(), err
		})
		if err != nil {
			c.failToEnd(s, k, last)
		}
		c.settled() // what SIGTERM does to workers has been done
		c.policy(s, who, k)

		k.close()
		_, err = c.until("the end of every process", func() (bool, string, error) {
			left, err := c.host.Processes()
			return len(left) == 0, left.String(), err
		})
		if err != nil {
			left, listErr := c.host.Processes()
			c.must(listErr)
			c.fail("after SIGTERM, and once its clients have left, nothing is left to do: end, and end what was started",
				"%d processes stay after SIGTERM and the end of the last client: %s", len(left), s.described(left))
		}
		again := c.start("after SIGTERM the port must be free: set SO_REUSEADDR, and leave nothing that holds it")
		again.converses("the subject does not serve after it was stopped and started again")
	},
}

// failToEnd says why somebody still listens after SIGTERM.
func (c *Case) failToEnd(s *server, k *conn, last string) {
	holders := c.holders(s.listener.Inode)
	if !slices.ContainsFunc(holders, s.isOwn) {
		c.fail("the listening socket is still held by a worker: close it in the child after fork (or let it be close-on-exec)",
			"the listener has ended after SIGTERM, but the listening socket is still held by %s", s.described(holders))
	}
	k.close()
	if _, err := c.until("the end of listening", func() (bool, string, error) { return !s.listens(), "", nil }); err == nil {
		c.fail("until then new clients connect and nobody serves them: close the listening socket first, and then wait for those that converse",
			"it listens on after SIGTERM until its last client has left: %s", last)
	}
	c.fail("an administrator's stop becomes a kill, which loses what is under way: end accept when SIGTERM comes (a flag alone, looked at before accept, is seen at the next client only)",
		"it listens on after SIGTERM: %s; %s", s.described(holders), last)
}

// policy compares what became of a worker that still converses with what the
// user asked for, or reports it.
func (c *Case) policy(s *server, who rig.ProcessInfos, k *conn) {
	processes, err := c.host.Processes()
	c.must(err)
	living := inBoth(processes.Alive(), who)
	parents := inBoth(processes.Alive(), s.own)
	found := Drain
	switch {
	case len(living) == 0 || len(parents) > 0 && k.exchangeAfterTerm() != nil:
		found = Kill
	case len(parents) == 0:
		found = Leave
	}
	if found == Leave || found == Drain {
		err := k.exchangeAfterTerm()
		if now, listErr := c.host.Processes(); err != nil && listErr == nil && len(inBoth(now.Alive(), who)) == 0 {
			found, err = Kill, nil // it was given some time, which was over by then
		}
		if err != nil {
			c.fail("a worker that lives must go on to converse, or end", "after SIGTERM a worker lives and does not answer: %v", err)
		}
	}
	meaning := map[Policy]string{
		Drain: "the listener has stopped listening and waits for the worker that converses",
		Kill:  "the worker that conversed was ended",
		Leave: "the listener has ended and its worker converses on",
	}[found]
	wanted := c.subject.OnTerm
	switch {
	case wanted == Unstated || wanted == found:
		c.note("%s (%s)", meaning, found)
	case wanted == Drain && found == Leave:
		c.fail("whoever waits for the end of the listener takes it for the end of all: wait for the workers before the listener ends",
			"wanted drain, found leave: after SIGTERM %s", meaning)
	case wanted == Kill && found != Kill:
		c.fail("workers that nobody ends live as long as their clients wish: end them, too, when SIGTERM comes",
			"wanted kill, found %s: after SIGTERM %s", found, meaning)
	default:
		c.fail("say with -on-term what is meant", "wanted %s, found %s: after SIGTERM %s", wanted, found, meaning)
	}
}

// exchangeAfterTerm says whether the conversation goes on.
func (k *conn) exchangeAfterTerm() error {
	if k.c.subject.Closes == Server || k.c.subject.Service == None {
		inode, err := k.serverInode()
		if err == nil && inode == 0 {
			err = errStuck
		}
		return err
	}
	return k.exchange()
}
