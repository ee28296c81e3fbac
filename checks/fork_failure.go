// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"errors"
	"slices"
	"time"

	"forkrig/dialogue"
	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

var forkFailure = judge.Check{
	Name:    "fork-failure",
	Meaning: "EAGAIN from fork or for a new thread ends only that connection, and its client sees the end",
	Defects: []string{"exit-on-fork-failure", "leak-conn-on-fork-failure"},
	Clients: 2,
	Long:    true,
	Run: func(c *judge.Case) {
		// Tried on the host without a process, because the subject is started otherwise
		// where the kernel cannot do this.
		refusal := fault.NoFork{Host: c.Host}
		tried, err := fault.Apply(c.Context(), c.Lab, refusal)
		if missing := (*rig.MissingError)(nil); errors.As(err, &missing) {
			forkFailsByLimit(c, missing)
			return
		}
		c.Must(err)
		c.Must(tried.Heal(c.Context()))
		forkFails(c, c.Start(""), refusal)
	},
}

// forkFailsByLimit judges the subject as a user whose processes the kernel limits, because it
// lacks the way that does without.
func forkFailsByLimit(c *judge.Case, missing error) {
	s, err := c.TryStart(judge.Launch{Limited: true})
	if err != nil && c.Subject.User == "" && !rig.Rootless() {
		c.Skip("%v; and the subject does not start as user %s (see -subject-user), for whom fork has a limit: %v",
			missing, judge.LimitedUser, judge.FirstLine(err))
	}
	c.Must(err)
	forkFails(c, s, fault.Limit{Targets: s.OwnTargets(), Resource: rig.UserProcesses, Soft: 0})
}

// forkFails lets clients come while the kernel refuses every fork, and judges what becomes of
// them and of the subject.
//
// That a fork was refused is known by this: a process, or a thread, comes with each client;
// while the kernel refuses, none comes and the client is not served; and when it does not
// refuse any more, clients are served again. [fault.NoFork] sees a fork of its own refused
// at its begin and at its end.
func forkFails(c *judge.Case, s *judge.Instance, refusal fault.Fault) {
	c.MustServe(c.Visit(0)) // a runtime may start threads of its own now
	s.AwaitWorkersEnd("its client left")
	c.AwaitRest()
	f := refusedFork{c: c, s: s, task: comesWithClient(c, s)}
	c.AwaitRest()
	listeners := s.Listeners()
	before := c.Descriptors(listeners)
	allow := c.Apply(refusal)
	var err error
	f.before, err = c.Host.Processes() // a spare worker of a pool among them, which is none until it serves
	c.Must(err)
	const clients = 3
	for range clients {
		if k := f.connectionStays(); k != nil {
			f.mustNotSucceed()
			allow()
			f.servedLater(k)
			return
		}
	}
	f.mustNotSucceed()
	allow()
	s.MustSurvive("EAGAIN for "+f.task, f.remedy())
	s.AwaitWorkersEnd("the client left")
	c.AwaitRest()
	// Fewer are not one for each failed fork: the listener may keep those of other clients.
	if leaked := before.Gained(c.Descriptors(listeners)); len(leaked) >= clients {
		c.Fail(f.remedy(),
			"after %d failed forks the listener has %s: %s", clients, scorecard.Counted(len(leaked), "more descriptor", "more descriptors"), judge.Kinds(leaked))
	}
	c.Note("the kernel refused %s to each of %d clients, who saw the end of the connection", f.task, clients)
}

const (
	aProcess = "a new process"
	aThread  = "a new thread"
)

// comesWithClient returns what the subject starts for a client, and returns when that has
// ended with its client. It skips the check where nothing comes and goes with a client. What
// stays, such as a thread of a pool, may serve the next one.
func comesWithClient(c *judge.Case, s *judge.Instance) (task string) {
	threads := func() (n int, err error) {
		all, err := c.Host.Processes()
		for _, info := range judge.InBoth(all.Alive(), s.Own) {
			n += info.Threads
		}
		return n, err
	}
	before, err := threads()
	c.Must(err)
	number := nextNumber(c)
	k := c.MustDial(0)
	c.MustServe(k.Begin())
	_, err = c.UntilRest("a process or a thread for a client", func() (bool, string, error) {
		workers, err := s.Workers()
		if err != nil || len(workers) > 0 {
			task = aProcess
			return true, "", err
		}
		now, err := threads()
		task = aThread
		return now > before, "no process and no thread has come with the client", err
	})
	switch {
	case judge.Hopeless(err): // one that is never at rest does something else meanwhile
		if number > 0 && nextNumber(c) > number+1 {
			c.MustServe(k.Finish())
			return aProcess // which ended before it was seen
		}
		_, instead := s.FindWorker(k)
		c.Skip("the check needs a process or a thread for each connection: %s", instead)
	case err != nil:
		c.Must(err)
	}
	c.MustServe(k.Finish())
	s.AwaitWorkersEnd("its client left")
	if task == aThread {
		_, err = c.Until("the end of the client's thread", func() (bool, string, error) {
			now, err := threads()
			return now <= before, "the thread lives on", err
		})
		if judge.Hopeless(err) {
			c.Skip("the check needs a process or a thread for each connection: here threads that come with a client stay, and may serve the next one")
		}
		c.Must(err)
	}
	return task
}

// nextNumber returns the number that the kernel gives the next process of the host, or 0 where
// that is not known: it starts one. The numbers of two that come one after the other tell whether
// there was another in between, however soon that ended (pid_namespaces(7)).
func nextNumber(c *judge.Case) int {
	p, err := c.Host.Start(rig.Exec("sleep", "1000"))
	if err != nil {
		return 0
	}
	info, err := p.Info()
	c.Must(err)
	number, err := c.Host.PIDOf(info)
	c.Must(err)
	c.Must(p.Kill(c.Context()))
	return number
}

// refusedFork is a subject whose forks the kernel refuses.
type refusedFork struct {
	c    *judge.Case
	s    *judge.Instance
	task string // what it starts for each client

	before rig.ProcessInfos // processes that were there when forks began to be refused
}

func (f refusedFork) remedy() string {
	if f.task == aThread {
		return "close the connection and go on: a thread that cannot be started concerns one connection only"
	}
	return "close the connection and go on: a failed fork concerns one connection only"
}

// mustNotSucceed breaks the check where a process has come although every fork is refused.
func (f refusedFork) mustNotSucceed() {
	workers, err := f.s.Workers()
	f.c.Must(err)
	come := workers.Where(func(i rig.ProcessInfo) bool { return !slices.ContainsFunc(f.before, i.Same) })
	if len(come) > 0 {
		f.c.Broken("the kernel should refuse every fork, but there is a new process: %s", f.s.Describe(come))
	}
}

// waitingClient is a client that is neither served nor told while fork fails.
type waitingClient struct {
	*judge.Conn
	answered chan error // what became of its request, when that is known
}

// connectionStays connects a client while fork fails, and returns it if its connection does not
// end. It skips the check where the client is served.
func (f refusedFork) connectionStays() *waitingClient {
	c, s := f.c, f.s
	ended := func() {
		if !c.ListensOn() {
			c.Fail(f.remedy(), "EAGAIN for %s ends the listener%s", f.task, s.HowItEnded())
		}
	}
	k, err := c.Dial(1)
	if err != nil {
		ended()
		c.Must(err)
	}
	stays := &waitingClient{Conn: k, answered: make(chan error, 1)}
	served := make(chan bool, 1)
	go func() {
		is, err := asks(k)
		served <- is
		stays.answered <- err
	}()
	timer := time.NewTimer(rig.Scaled(3 * rig.Settling)) // longer than a quiescent subject takes
	defer timer.Stop()
	select {
	case is := <-served:
		err = <-stays.answered
		ended()
		if is {
			f.mustNotSucceed()
			c.Skip("%s comes with each client, but a client is served even while the kernel refuses every fork", f.task)
		}
		stays.answered <- err
		if !judge.Hopeless(err) {
			k.Close()
			return nil
		}
	case <-timer.C: // it is neither quiescent nor known to be busy: it may try again and again
		ended()
	}
	loop := errors.Is(err, judge.ErrBusy)
	if !loop && !errors.Is(err, judge.ErrQuiescent) {
		loop = busyLoop(c, s, s.Listeners()) != ""
	}
	if loop {
		c.Fail("log the error, close the connection and go on: do not try again without a pause",
			"the kernel refused %s, and the listener works without end while the connection of the client stays open", f.task)
	}
	return stays
}

// asks has a client converse while fork fails, and says whether it was served. Otherwise the
// error says how the connection ended, or that it stays open.
func asks(k *judge.Conn) (served bool, err error) {
	answers := k.Case.Service.Lacks(dialogue.Answers) == ""
	if answers {
		if err = k.Exchange(); err == nil {
			return true, nil
		}
		if judge.Hopeless(err) {
			return false, err
		}
	}
	// Other words than an answer may come, such as a refusal.
	n, err := k.ReadFull(make([]byte, 1<<10))
	return !answers && n > 0 && errors.Is(err, judge.ErrQuiescent), err
}

// servedLater judges a subject that keeps the connection of a client when fork fails: it
// may serve the client when fork succeeds again.
func (f refusedFork) servedLater(k *waitingClient) {
	c, s := f.c, f.s
	inode, err := k.ServerInode()
	c.Must(err)
	told := false
	_, err = c.Within(rig.Scaled(maxRetryTime), "service, or the end, for the waiting client", func() (bool, string, error) {
		select {
		case err := <-k.answered:
			if !judge.Hopeless(err) {
				told = err != nil
				return true, "", nil
			}
		default:
		}
		n, err := k.ReadNow(make([]byte, 64))
		if n > 0 || err != nil {
			told = n == 0
			return true, "", nil
		}
		now, err := k.ServerInode()
		return err == nil && slices.ContainsFunc(c.Holders(now), func(i rig.ProcessInfo) bool { return !s.IsOwn(i) }), "", nil
	})
	switch {
	case err == nil && told:
		c.Note("the listener keeps the client while fork fails, and ends its connection when fork succeeds again")
		s.MustSurvive("EAGAIN for "+f.task, f.remedy())
	case err == nil:
		c.Note("the listener keeps the client and serves it when fork succeeds again")
		s.MustSurvive("EAGAIN for "+f.task, f.remedy())
	case !errors.Is(err, rig.ErrNotObserved):
		c.Must(err)
	case inode == 0:
		c.Fail("close the connection and call accept again: the listener stops accepting",
			"the kernel refused %s once, and the listener does not accept any more", f.task)
	default:
		c.Fail(f.remedy(),
			"the kernel refused %s, and the connection of the client is still open in %s", f.task, s.Describe(c.Holders(inode)))
	}
}

// maxRetryTime is how long a subject may take to try fork again.
const maxRetryTime = 10 * time.Second
