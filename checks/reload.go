// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
)

var reload = judge.Check{
	Name:    "reload",
	Meaning: "a reload loses no connection, and ten of them leave no process and no descriptor behind",
	Defects: []string{"reload-reopens", "reload-drops-clients", "reload-leaks-descriptor"},
	Clients: 4,
	Run: func(c *judge.Case) {
		s := c.Start("")
		masks, err := c.Host.Signals(s.Head())
		c.Must(err)
		if !c.Subject.Reload.Known() {
			c.Skip("the check needs to know how the subject is told to reload (-reload HUP, or a command with {pid}); its first process catches %s", caught(masks))
		}
		if signal := c.Subject.Reload.Signal; signal != 0 && masks.Ignored.Has(signal) {
			c.Broken("the first process ignores %v, so nothing is proved: name another signal, or start forkrig from a program that does not ignore it (nohup ignores SIGHUP)", c.Subject.Reload)
		}
		c.MustServe(c.Visit(0))
		alone := len(c.Hold(2)) == 1
		c.CloseConnections()
		s.AwaitWorkersEnd("the clients left")
		var first population
		for n := 1; n <= reloads; n++ {
			reloadUnderLoad(c, s, n, alone)
			c.AwaitRest()
			if n == 1 {
				first = populationOf(c)
			}
		}
		first.mustNotGrow(c)
		c.MustServe(c.Visit(0))
		c.Note("%d reloads by %v cost no connection", reloads, c.Subject.Reload)
	},
}

// caught says which signals a process catches.
func caught(masks rig.SignalMasks) string {
	if masks.Caught.Has(syscall.SIGPROF) && masks.Caught.Has(syscall.SIGVTALRM) {
		return "every signal, as the runtime of Go does"
	}
	names := strings.Fields(strings.Trim(masks.Caught.String(), "{}"))
	if len(names) == 0 {
		return "no signal"
	}
	return strings.Join(names, ", ")
}

const (
	reloads    = 10
	conversing = 4  // clients that converse again and again meanwhile
	waiting    = 16 // clients that wait in the backlog, as far as there is room
	visits     = 16 // how many conversations there are after the reload was asked for
)

// reloadUnderLoad reloads the subject for the nth time, while clients come. One that serves one
// client at a time has no conversation that began before: it would keep out all others.
func reloadUnderLoad(c *judge.Case, s *judge.Instance, n int, alone bool) {
	l := &load{c: c, over: make(chan struct{})}
	defer l.end()
	fail := func(what string, err error) {
		if err == nil {
			return
		}
		l.end()
		c.AwaitRest() // a process that ends resets its clients before it closes its listening socket
		if !c.ListensOn() {
			c.Fail("handle the reload, and keep the old configuration where the new one is wrong: a reload must not end the subject",
				"reload %d of %d by %v ends the listener%s", n, reloads, c.Subject.Reload, s.HowItEnded())
		}
		started := ""
		if how := s.HowItEnded(); how != "" {
			started = "; the process that was started has ended" + how
		}
		c.Fail("keep the listening socket open during a reload, or pass it on; let old workers finish with their clients",
			"reload %d of %d by %v: %s: %v%s", n, reloads, c.Subject.Reload, what, err, started)
	}
	var held *judge.Conn
	var err error
	if !alone {
		if held, err = c.Dial(0); err == nil {
			err = held.Begin()
		}
	}
	if n == 1 {
		c.MustServe(err)
	}
	fail("a new client before it", err)
	for i := range conversing {
		l.wait.Go(func() { l.converse(i) })
	}
	err = l.await(conversing)
	if n == 1 {
		c.MustServe(err)
	}
	fail("clients before it", err)

	var queue []*judge.Conn
	if c.Subject.Reload.Signal != 0 {
		// It finds connections in its backlog as it reloads. A command may need an answer of
		// the subject before it ends.
		thaw := c.Apply(fault.Stop{Targets: s.OwnTargets()})
		for i := range min(waiting, int(s.Listener.SendQueue)-conversing) { // there is room for those that converse
			k, err := c.Dial(i)
			fail("a client that came meanwhile", err)
			queue = append(queue, k)
		}
		s.Reload()
		thaw()
	} else {
		s.Reload()
	}
	waited := make(chan error, len(queue))
	for _, k := range queue { // a silent one could keep the process busy that accepts it
		l.wait.Go(func() { waited <- served(k) })
	}
	fail("a client that came meanwhile", l.await(l.done()+visits))
	l.end()
	fail("a client that came meanwhile", l.failure())
	for range queue {
		fail("a client that waited to be accepted", <-waited)
	}
	if held != nil {
		if err := served(held); err != nil && !c.EndsSilent(held) {
			fail("a conversation that had begun before", err)
		}
	}
}

// load is clients that converse again and again.
type load struct {
	c    *judge.Case
	over chan struct{}
	once sync.Once
	wait sync.WaitGroup

	mu     sync.Mutex
	visits int
	err    error // of the first client that was not served
}

func (l *load) converse(n int) {
	for {
		select {
		case <-l.over:
			return
		default:
		}
		k, err := l.c.Dial(n)
		if err == nil {
			err = served(k)
		}
		l.mu.Lock()
		l.visits++
		if l.err == nil {
			l.err = err
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *load) done() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.visits
}

func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// await waits until there were so many conversations, or one failed.
func (l *load) await(n int) error {
	_, err := l.c.Until("conversations", func() (bool, string, error) {
		return l.done() >= n || l.failure() != nil, fmt.Sprintf("%d of %d", l.done(), n), nil
	})
	if failure := l.failure(); failure != nil {
		return failure
	}
	return err
}

// end lets no more clients come, and waits for the last ones.
func (l *load) end() {
	l.once.Do(func() { close(l.over) })
	l.wait.Wait()
}

// served ends a conversation in order. A service of none may end the connection of a client
// that says nothing, but not by a reset.
func served(k *judge.Conn) error {
	defer k.Close()
	if k.Case.Service.Lacks(dialogue.Answers) == "" {
		return k.Finish()
	}
	if err := k.AwaitAccepted(); err != nil {
		return err
	}
	greeting := make([]byte, 1<<10)
	if _, err := k.ReadNow(greeting); errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	return nil
}

// population is what the subject has at rest, without clients.
type population struct {
	processes rig.ProcessInfos // zombies included
	fds       rig.FDs
}

func populationOf(c *judge.Case) (p population) {
	var err error
	p.processes, err = c.Host.Processes()
	c.Must(err)
	for _, fds := range c.Descriptors(p.processes.Alive()) {
		for _, fd := range fds {
			if fd.Kind != rig.FDAnon { // those are a runtime's
				p.fds = append(p.fds, fd)
			}
		}
	}
	return p
}

// mustNotGrow fails the check where something was left behind by each of the reloads since.
// A pool of workers may grow a little under load.
func (p population) mustNotGrow(c *judge.Case) {
	const since = reloads - 1
	var now population
	last, err := c.Until("what the reloads left behind to go", func() (bool, string, error) {
		now = populationOf(c)
		return len(now.processes) < len(p.processes)+since && len(now.fds) < len(p.fds)+since,
			fmt.Sprintf("%d processes and %d descriptors", len(now.processes), len(now.fds)), nil
	})
	switch {
	case err == nil:
	case len(now.processes) >= len(p.processes)+since:
		c.Fail("end old workers when their last client has left, and reap them",
			"after the first reload it has %d processes, and after %d more %s: %v", len(p.processes), since, last, now.processes)
	default:
		c.Fail("close what a reload replaces: log files, old listening sockets, pipes to old workers",
			"after the first reload it has %d descriptors, and after %d more %s: %s", len(p.fds), since, last, judge.Kinds(now.fds))
	}
}
