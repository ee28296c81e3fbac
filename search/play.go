package search

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"forkrig/judge"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/scorecard"
)

// Outcome is what came of a schedule.
type Outcome struct {
	scorecard.Result
	// Acted says of each action whether it did anything.
	Acted []bool
	// At is the index of the action after which the story ended, or the number of
	// actions where all of them were played.
	At int
}

// Failed says whether the subject was found to be wrong.
func (o Outcome) Failed() bool { return o.Verdict == scorecard.Fail }

// Play tells a schedule in a lab of its own. It does not fail tb, whatever comes of
// it. A hasty one gives up waits early, so that a failure is a suspicion only.
func Play(tb rig.TB, subject judge.Subject, traits Traits, schedule Schedule, hasty bool) Outcome {
	tb.Helper()
	out := Outcome{Acted: make([]bool, len(schedule.Actions))}
	stage := judge.Stage{Name: Name, Meaning: Meaning, Subject: subject, Family: schedule.Family, Clients: Clients, Hasty: hasty}
	out.Result = judge.Tell(tb, stage, func(s *judge.Scene) {
		s.Must(schedule.Check())
		has := func(verb Verb) bool {
			return slices.ContainsFunc(schedule.Actions, func(a Action) bool { return a.Verb == verb })
		}
		p := player{Scene: s, subject: subject, traits: traits, limited: has(TakeProcesses)}
		s.Must(s.Start(traits.Own, p.limited))
		p.begin()
		if has(Part) {
			p.neighboursAskedOften()
		}
		for i, action := range schedule.Actions {
			out.At = i
			s.Lab().Journal.Record("story", "%d. %v", i+1, action)
			out.Acted[i] = p.act(action)
			p.look()
		}
		out.At = len(schedule.Actions)
		s.Lab().Journal.Record("story", "the end: all is healed, and every client leaves")
		p.finish()
	})
	return out
}

// player plays actions, and knows what is broken and what clients are owed.
type player struct {
	*judge.Scene
	subject judge.Subject
	traits  Traits
	limited bool // it runs as a user whose processes are limited

	talks  []*talk
	parted map[int]*fault.Applied // by client
	gone   []*talk                // closed while parted: the server does not know yet
	short  []func() error         // restores what was taken
	storms []*rig.RunningStorm
	before map[int]rig.FDs // of the listeners
	waited bool            // for zombies that were reaped by a timer
	latest time.Time       // when the latest fault began, or a client came to one
}

// begin notes how things are before the first connection.
func (p *player) begin() {
	p.before = descriptors(p.Scene)
	if p.parted == nil {
		p.parted = map[int]*fault.Applied{}
	}
}

// neighboursAskedOften makes hosts ask for a neighbour's link address a hundred times
// a second while they do not know it, as they do after a partition, instead of
// once (arp(7)).
func (p *player) neighboursAskedOften() {
	for i, host := range append([]*rig.Host{p.Host()}, p.Clients()...) {
		for eth := range Clients {
			if i > 0 && eth > 0 {
				continue // a client has one link
			}
			for _, family := range []string{"ipv4", "ipv6"} {
				err := host.SetSysctl(fmt.Sprintf("net.%s.neigh.eth%d.retrans_time_ms", family, eth), "10")
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					p.Must(err)
				}
			}
		}
	}
}

// leastFault is how long a fault lasts at least, so that the subject meets it: a
// fault that is over before anybody ran is none. It decides nothing.
const leastFault = 10 * time.Millisecond

// lasts lets what is broken last a moment.
func (p *player) lasts() {
	select {
	case <-time.After(time.Until(p.latest.Add(leastFault))):
	case <-p.Context().Done():
	}
}

// act does what the action says and returns whether there was anything to do.
func (p *player) act(a Action) bool {
	k := p.talk(a.Conn)
	if verbs[a.Verb].conn && a.Verb != Connect && k == nil {
		return false
	}
	switch a.Verb {
	case Connect:
		return p.connect(a.Conn, a.Client) != nil
	case Send:
		return p.send(k, a.Bytes)
	case HalfClose:
		return p.halfClose(k, a.Bytes)
	case Close:
		return p.leave(k)
	case Kill:
		return p.kill(k, a.Bytes)
	case Reset:
		return p.reset(k, a.Bytes)
	case KillWorker:
		return p.killWorker(k)
	case Storm:
		return p.storm()
	case Calm:
		return p.calm()
	case Restart:
		return p.restart()
	case Crash:
		return p.crash()
	case Part:
		return p.part(a.Client)
	case Join:
		return p.join(a.Client)
	case TakeFiles:
		return p.takeFiles()
	case TakeProcesses:
		return p.takeProcesses()
	case Release:
		return p.release()
	}
	return false
}

// talk returns the open connection of that number, or nil.
func (p *player) talk(number int) *talk {
	for _, k := range p.talks {
		if k.number == number && !k.ended {
			return k
		}
	}
	return nil
}

// open are the connections that have not ended.
func (p *player) open() []*talk {
	return slices.DeleteFunc(slices.Clone(p.talks), func(k *talk) bool { return k.ended })
}

// reaches says whether packets of the connection pass.
func (p *player) reaches(k *talk) bool { return p.parted[k.client] == nil }

// due says whether nothing stands between the connection and its answers.
func (p *player) due(k *talk) bool {
	crowded := p.traits.AtOnce > 0 && len(p.open())+len(p.gone) > p.traits.AtOnce
	return p.reaches(k) && p.short == nil && (k.served || !crowded)
}

func (p *player) connect(number, client int) *talk {
	known := slices.ContainsFunc(p.talks, func(k *talk) bool { return k.number == number })
	if known || p.parted[client] != nil {
		return nil
	}
	link, err := p.Dial(client - 1)
	if err != nil {
		if p.short != nil {
			return nil // it may refuse, or take its listener away for a while
		}
		p.Fail("a client whom nothing keeps away must be able to connect: listen, with a backlog", "a client cannot connect: %v", err)
	}
	k := &talk{Link: link, number: number, client: client}
	if p.short != nil {
		k.excused = "it came in a shortage"
		p.latest = time.Now()
	}
	p.talks = append(p.talks, k)
	return k
}

func (p *player) send(k *talk, size int) bool {
	if k.half || p.subject.Service == judge.None || k.served && p.subject.Closes == judge.Server {
		return false
	}
	p.exchange(k, size)
	return true
}

// exchange sends a message and, where that can be, reads the answer.
func (p *player) exchange(k *talk, size int) {
	if p.subject.Service == judge.None {
		p.judge(k, k.Accepted())
		k.served = true
		return
	}
	if !p.due(k) {
		p.judge(k, p.whisper(k, size))
		return
	}
	err := p.collect(k) // what is owed from before
	if err == nil && !k.ended {
		err = p.tell(k, size)
	}
	if err == nil && !k.ended {
		err = p.collect(k)
	}
	p.judge(k, err)
}

func (p *player) halfClose(k *talk, size int) bool {
	if k.half || size > 0 && k.served && p.subject.Closes == judge.Server {
		return false
	}
	said, answer := message(p.subject.Service, k.number, k.count, max(size, 1))
	if size == 0 || p.subject.Service == judge.None {
		said, answer = nil, nil
	}
	if !p.due(k) {
		if size > 0 {
			p.judge(k, p.whisper(k, size))
		}
		if !k.ended {
			_ = k.FinishSending() // it may have been reset
			k.half = true
		}
		return true
	}
	k.count++
	sent := make(chan error, 1)
	go func() {
		err := k.Say(said)
		if err == nil {
			err = k.FinishSending()
		}
		sent <- err
	}()
	k.owed, k.half = append(k.owed, answer...), true
	p.judge(k, p.meanwhile(k, sent))
	return true
}

// leave ends a connection as a client does that has nothing more to say.
func (p *player) leave(k *talk) bool {
	if p.due(k) {
		p.judge(k, p.collect(k))
	}
	p.hangUp(k)
	return true
}

// hangUp closes the connection. A client behind a partition reads first what it
// has got: with an answer unread the kernel would send a reset instead of the
// end of the stream, once, and nobody would ever know.
func (p *player) hangUp(k *talk) {
	if !k.ended && !p.reaches(k) {
		if _, err := p.take(k); err != nil {
			p.judge(k, err)
		}
		p.gone = append(p.gone, k)
	}
	p.over(k)
}

// kill ends the connection as the kernel does when its process is killed: with a
// reset where an answer was not read. A client's host that dies says nothing, and
// is another story.
func (p *player) kill(k *talk, size int) bool {
	if k.half || !p.reaches(k) {
		return false
	}
	if p.subject.Service != judge.None && !(k.served && p.subject.Closes == judge.Server) {
		p.judge(k, p.whisper(k, size))
	}
	if !k.ended && p.due(k) && len(k.owed) > 0 && k.excused == "" {
		first := k.owed[:1]
		p.judge(k, k.Expect(first)) // the others come, and are not read
	}
	p.hangUp(k)
	return true
}

func (p *player) reset(k *talk, size int) bool {
	if !p.reaches(k) {
		return false // nobody would know of it
	}
	if size > 0 && !k.half && p.subject.Service != judge.None && !(k.served && p.subject.Closes == judge.Server) {
		p.judge(k, p.whisper(k, size))
	}
	k.Reset()
	p.over(k)
	return true
}

func (p *player) killWorker(k *talk) bool {
	inode := p.inode(k)
	if inode == 0 {
		return false
	}
	workers := slices.DeleteFunc(p.holders()[inode], p.IsOwn)
	if len(workers) == 0 {
		return false
	}
	killed, _, err := p.Lab().KillTogether(p.Context(), p.Host().Matching("the worker of "+k.String(), func(i rig.ProcessInfo) bool {
		return slices.ContainsFunc(workers, i.Same)
	}))
	p.Must(err)
	k.excused = "its worker was killed"
	if !p.reaches(k) {
		return killed > 0
	}
	k.half = true // the end of the stream is all that is left to come
	if err := p.collect(k); judge.Hopeless(err) {
		p.Fail("a connection ends when its worker does only if nobody else has it open: close it in the parent after fork, and keep it from other workers",
			"the worker of %v was killed, and its client is not told: %v; the connection is open in %s", k, firstLine(err), p.Described(p.holders()[inode]))
	} else {
		p.judge(k, err)
	}
	return true
}

// stormRate is in signals a second: enough to hit every call, and little enough to
// leave the machine to others.
const stormRate = 2000

// longestStorm ends a storm in a story that takes long: in a storm nobody comes to
// rest, which is how it is noticed that nothing happens any more.
const longestStorm = time.Second

func (p *player) storm() bool {
	if len(p.storms) > 0 {
		return false
	}
	begin := func(s rig.Storm) {
		s.RatePerSecond, s.Duration = stormRate, longestStorm
		running, err := p.Lab().StartStorm(s)
		p.Must(err)
		p.storms = append(p.storms, running)
	}
	if signals := p.Neutral(); len(signals) > 0 {
		listeners := p.Listeners()
		begin(rig.Storm{Signals: signals, Targets: []rig.Target{p.Host().Matching("the listener", func(i rig.ProcessInfo) bool {
			return slices.ContainsFunc(listeners, i.Same)
		})}})
	}
	// No handler is needed for these to interrupt calls with a timeout, and to cut
	// short a send (signal(7)).
	begin(rig.Storm{Signals: []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT},
		Targets: []rig.Target{p.Host().Matching("the workers", func(i rig.ProcessInfo) bool { return !p.IsOwn(i) })}})
	p.latest = time.Now()
	return true
}

func (p *player) calm() bool {
	if len(p.storms) == 0 {
		return false
	}
	p.lasts()
	for _, storm := range p.storms {
		_, err := storm.Stop()
		p.Must(err)
	}
	p.storms = nil
	return true
}

// restart stops the server as an administrator does, and starts it again.
func (p *player) restart() bool {
	p.calm()
	p.release()
	holders := p.holders()
	head := p.Head()
	for _, k := range p.open() {
		goesOn := p.subject.OnTerm == judge.Drain || p.subject.OnTerm == judge.Leave
		hasWorker := slices.ContainsFunc(holders[p.inode(k)], func(i rig.ProcessInfo) bool { return !p.IsOwn(i) })
		if !goesOn || !hasWorker {
			p.excuse(k, "the server was stopped")
		} else if k.drains == nil {
			k.drains = &head
		}
	}
	_, err := p.Lab().SignalAll(syscall.SIGTERM, p.Host().Matching("the first process", head.Same))
	p.Must(err)
	p.again("SIGTERM")
	return true
}

// crash kills the listener, and starts the server again.
func (p *player) crash() bool {
	p.calm()
	p.release()
	for _, k := range p.open() {
		p.excuse(k, "the listener was killed")
	}
	_, _, err := p.Lab().KillTogether(p.Context(), p.Host().Matching("the listener and its helpers", p.IsOwn))
	p.Must(err)
	p.again("SIGKILL")
	return true
}

func (p *player) excuse(k *talk, why string) {
	if k.excused == "" {
		k.excused = why
	}
}

// again waits until nobody listens, and starts the server.
func (p *player) again(after string) {
	last, err := p.Until("the end of listening", func() (bool, string, error) {
		here, err := p.Sockets()
		left := here.In(rig.Listening)
		return len(left) == 0, left.String(), err
	})
	if err != nil {
		p.Fail("a server that was stopped must not listen any more, nor must a worker that it leaves: end accept at once, and close the listening socket in the child after fork",
			"after %s somebody listens on: %s", after, last)
	}
	if err := p.Start(p.traits.Own, p.limited); err != nil {
		p.Fail("after it was stopped a server must be able to start on the same port at once: set SO_REUSEADDR to 1 before bind, and leave nothing that holds the port",
			"after %s it does not start again: %v", after, firstLine(err))
	}
	p.before = descriptors(p.Scene)
}

// parting is a fault: the host's links are down.
type parting struct{ host *rig.Host }

func (f parting) String() string { return f.host.Name + " is parted from all others" }

func (f parting) Break(context.Context, *rig.Lab) (func(context.Context) error, error) {
	return f.host.Plug, f.host.Unplug()
}

// arrived waits until the server's kernel has taken the resets of the client. One
// that was on its way when the link went down would never be sent again.
func (p *player) arrived(client int) {
	_, err := p.Until("resets to arrive", func() (bool, string, error) {
		for _, k := range p.talks {
			if k.client != client || !k.ended {
				continue
			}
			if socket, there, err := k.Server(); err != nil || there && socket.State == rig.Established {
				return false, socket.String(), err
			}
		}
		return true, "", nil
	})
	if !judge.Hopeless(err) {
		p.Must(err)
	}
}

func (p *player) part(client int) bool {
	if p.parted[client] != nil {
		return false
	}
	p.arrived(client)
	applied, err := fault.Apply(p.Context(), p.Lab(), parting{p.Clients()[client-1]})
	p.Must(err)
	p.parted[client] = applied
	p.latest = time.Now()
	return true
}

func (p *player) join(client int) bool {
	applied := p.parted[client]
	if applied == nil {
		return false
	}
	p.lasts()
	p.Must(applied.Heal(p.Context()))
	delete(p.parted, client)
	p.gone = slices.DeleteFunc(p.gone, func(k *talk) bool { return k.client == client })
	return true
}

// takeFiles leaves the listener no descriptor.
func (p *player) takeFiles() bool {
	if p.short != nil {
		return false
	}
	p.short = []func() error{}
	for _, info := range p.Listeners() {
		fds, err := p.Host().FDs(info)
		p.Must(err)
		p.take1(info, rig.OpenFiles, judge.LowestFree(fds))
	}
	p.excuseNew()
	return true
}

// takeProcesses lets no process of the subject start another one.
func (p *player) takeProcesses() bool {
	if p.short != nil || !p.traits.Forks {
		return false
	}
	p.short = []func() error{}
	for _, info := range p.Own() {
		p.take1(info, rig.UserProcesses, 0)
	}
	p.excuseNew()
	return true
}

func (p *player) take1(info rig.ProcessInfo, resource rig.Resource, most uint64) {
	restore, err := p.Host().SetLimit(info, resource, most)
	if errors.Is(err, os.ErrNotExist) {
		return // it has ended
	}
	p.Must(err)
	p.short = append(p.short, restore)
}

// excuseNew excuses the connections that may not have been accepted yet.
func (p *player) excuseNew() {
	for _, k := range p.open() {
		if !k.served {
			p.excuse(k, "a shortage came before it was served")
		}
	}
}

func (p *player) release() bool {
	if p.short == nil {
		return false
	}
	p.lasts()
	for _, restore := range p.short {
		p.Must(restore())
	}
	p.short = nil
	return true
}

// judge takes what came of a conversation.
func (p *player) judge(k *talk, err error) {
	switch {
	case err == nil:
	case judge.WrongBytes(err) || errors.Is(err, errWrong):
		p.Fail("a client must get what it is owed, each byte of it, once: answer with as many bytes as read returned, and write again what a short write left over",
			"%v: %v", k, err)
	case k.ended:
	case judge.Hopeless(err) && k.excused != "":
		p.Fail("a client that cannot be served must be told: close its connection, in every process that has it",
			"%v is neither served nor ended although %s: %v", k, k.excused, firstLine(err))
	case judge.Hopeless(err):
		p.Fail("a client to whom nothing was done must be served", "%v is not served: %v", k, firstLine(err))
	case k.excused != "":
		p.over(k)
	case judge.Ended(err):
		p.Fail("a connection to which nothing was done must not end", "%v ends although nothing was done to it: %v", k, firstLine(err))
	default:
		p.Must(err)
	}
}
