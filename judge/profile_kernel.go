// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"cmp"
	"fmt"
	"net/netip"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"forkrig/dialogue"
	"forkrig/rig"
	"forkrig/rig/observe"
	"forkrig/scorecard"
)

// speaksFirst notes who does: the subject where something came before a client said anything.
func (p *Profile) speaksFirst(greeting []byte) {
	switch {
	case len(greeting) > 0:
		p.facts.SpeaksFirst, p.facts.Greeting = string(Server), escaped(greeting)
	case len(p.Seen.Dialogue.Round) > 0:
		p.facts.SpeaksFirst = string(Client)
	}
}

// escaped returns the begin of what a subject said, with escapes as in Go.
func escaped(said []byte) string {
	const longest = 100
	quoted := strconv.QuoteToASCII(string(said[:min(len(said), longest)]))
	return quoted[1 : len(quoted)-1]
}

// describe says what the kernel shows of the subject that was started last.
func (c *Case) describe() (f scorecard.Profile) {
	s := c.latest()
	f.Families = []string{c.Family.String()}
	f.Processes = len(s.Own)
	for _, info := range s.Own {
		f.Threads += info.Threads
	}
	f.Listeners = c.listeners(s)
	if listeners := s.Listeners(); len(listeners) > 0 {
		oldest := (&Instance{Own: listeners}).Head()
		f.User = c.users(rig.ProcessInfos{oldest})
		s.describeSignals(&f, oldest)
		f.Limits = c.ownLimits(oldest)
	}
	return f
}

// describeWays adds what is known when the subject has conversed.
func (c *Case) describeWays(p *Profile) {
	s, f := c.latest(), &p.facts
	f.Daemonizes = s.daemon || !s.Process.Running() && c.Listens()
	f.ClosesFirst = string(cmp.Or(c.Subject.Closes, p.Closes))
	if f.ClosesFirst == "" {
		switch {
		case p.Seen.Lacks(dialogue.ServerCloses) == "":
			f.ClosesFirst = string(Server)
		case p.Seen.Lacks(dialogue.Answers) == "":
			f.ClosesFirst = string(Client)
		}
	}
	if c.Subject.Port != 0 && !c.Subject.has("{port}") {
		p.Port = c.Subject.Port
	}
}

// latest is the subject as it was started last.
func (c *Case) latest() *Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[len(c.servers)-1]
}

// defersAccept says whether the subject is known to accept a client only when bytes have come.
func (c *Case) defersAccept() bool {
	s := c.latest()
	options, err := c.listenerOptions(s, s.Listener)
	return err == nil && options.DeferAccept
}

// listeners describes the sockets that listen on the port.
func (c *Case) listeners(s *Instance) []scorecard.Listener {
	held, err := s.heldListeners()
	c.Must(err)
	var all []scorecard.Listener
	for _, k := range held.On(c.Subject.ListenPort()) {
		address := k.Local.String()
		if unmapped(k.Local) == c.Address {
			address = fmt.Sprintf("{ip}:%d", k.Local.Port())
		}
		l := scorecard.Listener{Family: c.Family.String(), Address: address, Backlog: int(k.SendQueue)}
		options, err := c.listenerOptions(s, k)
		if err != nil {
			l.Unread = FirstLine(err)
		}
		for _, o := range []struct {
			name string
			set  bool
		}{
			{"SO_REUSEADDR", options.ReuseAddr}, {"SO_REUSEPORT", options.ReusePort}, {"TCP_DEFER_ACCEPT", options.DeferAccept},
			{"SO_KEEPALIVE", options.KeepAlive}, {"MPTCP", options.MPTCP},
		} {
			if o.set {
				l.Options = append(l.Options, o.name)
			}
		}
		l.TakesIPv4 = err == nil && k.Local.Addr() == netip.IPv6Unspecified() && !options.V6Only
		all = append(all, l)
	}
	return all
}

// listenerOptions reads the options from the first process that has the socket.
func (c *Case) listenerOptions(s *Instance, k rig.Socket) (options rig.ListenerOptions, err error) {
	err = fmt.Errorf("no process has the socket %v", k)
	for _, info := range s.Own {
		fds, fdErr := c.Host.FDs(info)
		if fdErr != nil || !fds.Socket(k.Inode) {
			continue
		}
		if options, err = c.Host.ListenerOptions(info, k.Inode); err == nil {
			return options, nil
		}
	}
	return options, err
}

// users names the users of the processes, each once. A sandbox that was made without root has
// one user only, of which nothing is said.
func (c *Case) users(of rig.ProcessInfos) string {
	if rig.Rootless() {
		return ""
	}
	var names []string
	for _, info := range of {
		uid, err := c.Host.UserOf(info)
		if err != nil {
			continue // it has ended
		}
		name := strconv.FormatUint(uint64(uid), 10)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// describeSignals adds what a process does about signals.
func (s *Instance) describeSignals(f *scorecard.Profile, info rig.ProcessInfo) {
	masks, err := s.Case.Host.Signals(info)
	if err != nil {
		return // it has ended
	}
	names := func(set rig.SignalSet) (names []string) {
		for _, signal := range set.Signals() {
			names = append(names, rig.SignalName(signal))
		}
		return names
	}
	masks.Caught &^= rig.SignalSet(ofTheLibrary)
	masks.Blocked &^= rig.SignalSet(ofTheLibrary)
	f.Ignored, f.Blocked = names(masks.Ignored), names(masks.Blocked)
	for _, signal := range masks.Caught.Signals() {
		f.Caught = append(f.Caught, scorecard.Caught{Signal: rig.SignalName(signal), Restart: s.restarts(info, signal)})
	}
}

// ofTheLibrary are the signals 32 to 34, which C libraries use for themselves (nptl(7)).
const ofTheLibrary = 7 << 31

// restarts says whether the handler has SA_RESTART: "yes", "no" or, where it is not known, "".
func (s *Instance) restarts(info rig.ProcessInfo, signal syscall.Signal) string {
	if s.session == nil {
		return ""
	}
	switch restarts, known := s.session.Restarts(info.PID, signal); {
	case !known:
		return ""
	case restarts:
		return "yes"
	}
	return "no"
}

// ownLimits returns the limits of a process that are not those with which it was started.
func (c *Case) ownLimits(of rig.ProcessInfo) []scorecard.Limit {
	first, err := c.Host.FirstLimits()
	if err != nil {
		return nil
	}
	now, err := c.Host.Limits(of)
	if err != nil {
		return nil
	}
	text := func(limit uint64) string {
		if limit == observe.Unlimited {
			return "unlimited"
		}
		return strconv.FormatUint(limit, 10)
	}
	var own []scorecard.Limit
	for name, limit := range now {
		if before, known := first[name]; known && before.Soft != limit.Soft {
			own = append(own, scorecard.Limit{Resource: name, Soft: text(limit.Soft), Before: text(before.Soft)})
		}
	}
	slices.SortFunc(own, func(a, b scorecard.Limit) int { return cmp.Compare(a.Resource, b.Resource) })
	return own
}

// programs returns the programs that the processes execute, by their base names, each once; nil
// where one cannot be read.
func (c *Case) programs(of rig.ProcessInfos) []string {
	var names []string
	for _, info := range of {
		path, err := c.Host.ProgramOf(info)
		if err != nil {
			return nil
		}
		if !slices.Contains(names, path) {
			names = append(names, path)
		}
	}
	for i, path := range names {
		names[i] = filepath.Base(path)
	}
	return names
}
