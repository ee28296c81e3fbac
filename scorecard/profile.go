// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"fmt"
	"slices"
	"strings"
)

// Profile is what was found out about a subject before its checks. The zero value is that of
// a subject that was not looked at; an empty field says that this is not known, or that it is
// not so.
type Profile struct {
	Service Service `json:"service,omitzero"`
	Model   Model   `json:"model,omitempty"` // how it serves its clients, such as [ForkPerConnection]
	// Program is the file of the processes that serve connections, where they execute another
	// one than the listener.
	Program    string `json:"program,omitempty"`
	Daemonizes bool   `json:"daemonizes,omitempty"` // it goes on when the process that was started has ended
	// Processes and Threads are how many it has, in all, before its first connection.
	Processes int `json:"processes,omitempty"`
	Threads   int `json:"threads,omitempty"`
	// User runs the processes that serve connections or, where none was seen, the listener.
	User string `json:"user,omitempty"`
	// SpeaksFirst is "server" or "client", and Greeting the begin of what a server says then,
	// with escapes as in Go.
	SpeaksFirst string `json:"speaks_first,omitempty"`
	Greeting    string `json:"greeting,omitempty"`
	ClosesFirst string `json:"closes_first,omitempty"`     // "server" or "client"
	Clients     int    `json:"clients_at_least,omitempty"` // seen to be served at a time; it may serve more
	// OneInstance says that no second one starts while one lives, also on another host, as
	// where both want one PID file or data directory.
	OneInstance bool       `json:"one_instance,omitempty"`
	Families    []string   `json:"families,omitempty"` // in which it serves, such as "IPv4"
	Listeners   []Listener `json:"listeners,omitempty"`
	// Caught, Ignored and Blocked are signals of the oldest process that listens.
	Caught  []Caught `json:"caught,omitempty"`
	Ignored []string `json:"ignored,omitempty"`
	Blocked []string `json:"blocked,omitempty"`
	// Limits are those of the oldest process that listens that it was not started with.
	Limits []Limit `json:"limits,omitempty"`
}

// Model is how a server serves its clients.
type Model string

// The models.
const (
	ForkPerConnection Model = "fork per connection"
	PreForked         Model = "pre-forked"
	Threads           Model = "threads"
	EventLoop         Model = "event loop"
	Inetd             Model = "inetd: a process for each connection"
	OneAtATime        Model = "one client at a time"
)

// Listener is a listening socket.
type Listener struct {
	Family string `json:"family"` // in which it was looked at, such as "IPv4"
	// Address is such as "0.0.0.0:80"; "{ip}" stands for the address that the subject was given.
	Address   string   `json:"address"`
	Backlog   int      `json:"backlog"`
	TakesIPv4 bool     `json:"takes_ipv4,omitempty"` // it is an IPv6 one that takes IPv4, too
	Options   []string `json:"options,omitempty"`    // that are set, such as "SO_REUSEADDR"
	Unread    string   `json:"unread,omitempty"`     // why the options are not known
}

// Caught is a signal that is caught.
type Caught struct {
	Signal string `json:"signal"`
	// Restart is "yes" for a handler with SA_RESTART, "no" for one without, "" where that is not known.
	Restart string `json:"sa_restart,omitempty"`
}

// Limit is a soft resource limit and the one that the subject was started with, as numbers or
// "unlimited".
type Limit struct {
	Resource string `json:"resource"` // such as "RLIMIT_NOFILE"
	Soft     string `json:"soft"`
	Before   string `json:"before"`
}

// Join returns the profile with the families and listeners of another one, which was made in
// another family, and with what that one alone knows.
func (p Profile) Join(other Profile) Profile {
	if p.Model == "" {
		p.Model, p.Program = other.Model, other.Program
	}
	p.Clients = max(p.Clients, other.Clients)
	p.OneInstance = p.OneInstance || other.OneInstance
	p.Families = addNew(slices.Clone(p.Families), other.Families...)
	p.Listeners = slices.Concat(p.Listeners, other.Listeners)
	return p
}

// maxProfileLines is how many lines the head of a card has for the profile.
const maxProfileLines = 3

// Lines returns the profile for people: at most three lines of so many columns, where what
// finds no room is left out.
func (p Profile) Lines(columns int) []string {
	all := wrap(oneLine(p.sentence()), columns, 0)
	if len(all) > maxProfileLines {
		rest := strings.Join(all[maxProfileLines-1:], " ")
		all = append(all[:maxProfileLines-1], cut(rest, columns))
	}
	return slices.DeleteFunc(all, func(line string) bool { return line == "" })
}

// phrases are parts of a sentence.
type phrases []string

// add appends a phrase where it is true.
func (p *phrases) add(isSo bool, format string, args ...any) {
	if isSo {
		*p = append(*p, fmt.Sprintf(format, args...))
	}
}

// sentence is the profile in words, the most important ones first.
func (p Profile) sentence() string {
	var all, limits phrases
	what, listening := p.what(), p.listening()
	for _, limit := range p.Limits {
		limits.add(true, "%s %s (was %s)", limit.Resource, limit.Soft, limit.Before)
	}
	all.add(what != "", "%s", what)
	all.add(p.ClosesFirst != "", "the %s closes first", p.ClosesFirst)
	all.add(p.Clients > 0 && p.Model != OneAtATime, "at least %s at a time", Counted(p.Clients, "client", "clients"))
	all.add(p.OneInstance, "one instance at a time, so that the checks run one after another")
	all.add(p.Greeting != "", `greets "%s"`, cut(p.Greeting, maxGreeting))
	all.add(len(listening) > 0, "listens on %s", strings.Join(listening, "; "))
	all.add(len(limits) > 0, "sets %s", strings.Join(limits, "; "))
	all.add(len(p.Blocked) > 0, "blocks %s", signals(p.Blocked))
	all.add(len(p.Ignored) > 0, "ignores %s", signals(p.Ignored))
	all.add(len(p.Caught) > 0, "catches %s", p.caught())
	return strings.Join(all, "; ")
}

// what says in words what the subject is.
func (p Profile) what() string {
	var all phrases
	s := p.Service
	name := s.Seen
	switch {
	case s.Given == "" && (s.Seen == "none" || strings.Contains(s.Seen, "<")): // no preset
		name = "service not known (see -service)"
	case s.Given != "" && s.Given != s.Seen:
		name = "given: " + s.Given + "; seen: " + s.Seen
	}
	all.add(s != Service{}, "%s", cut(oneLine(name), maxServiceShown))
	switch {
	case p.Model == Inetd && p.Program != "":
		all.add(true, "inetd: a process of %s for each connection", p.Program)
	case p.Program != "":
		all.add(true, "%s (%s)", p.Model, p.Program)
	case p.Model != "":
		all.add(true, "%s", p.Model)
	}
	all.add(p.Daemonizes, "daemonizes")
	all.add(p.Processes > 0, "%s", Counted(p.Processes, "process", "processes"))
	all.add(p.Threads > p.Processes, "%s", Counted(p.Threads, "thread", "threads"))
	all.add(p.User != "", "as user %s", p.User)
	return strings.Join(all, ", ")
}

const (
	maxServiceShown = 40
	maxGreeting     = 40
	manySignals     = 20 // more are those of a runtime that catches what it can
)

// listening says where the subject listens, each address once.
func (p Profile) listening() []string {
	var all []string
	for _, l := range p.Listeners {
		options := slices.Clone(l.Options)
		if l.TakesIPv4 {
			options = append(options, "takes IPv4, too")
		}
		all = addNew(all, labelled(fmt.Sprintf("%s backlog %d", l.Address, l.Backlog), strings.Join(options, ", ")))
	}
	return all
}

// caught lists the signals that are caught: those that servers use most first.
func (p Profile) caught() string {
	count := map[string]int{}
	for _, c := range p.Caught {
		count[c.Restart]++
	}
	with, without := count["yes"], count["no"]
	if n := len(p.Caught); n > manySignals {
		text := fmt.Sprintf("%d signals", n)
		switch {
		case with+without < n:
			return text
		case without == 0:
			return text + ", all with SA_RESTART"
		case with == 0:
			return text + ", none with SA_RESTART"
		}
		return fmt.Sprintf("%s, %d with SA_RESTART", text, with)
	}
	usual := []string{"SIGINT", "SIGHUP", "SIGTERM", "SIGCHLD"} // the last one comes first
	all := slices.Clone(p.Caught)
	slices.SortStableFunc(all, func(a, b Caught) int {
		return slices.Index(usual, b.Signal) - slices.Index(usual, a.Signal)
	})
	var names phrases
	for _, c := range all {
		names.add(c.Restart != "yes", "%s", c.Signal)
		names.add(c.Restart == "yes", "%s (SA_RESTART)", c.Signal)
	}
	return strings.Join(names, ", ")
}

func signals(names []string) string {
	if len(names) > manySignals {
		return fmt.Sprintf("%d signals", len(names))
	}
	return strings.Join(names, ", ")
}

// Counted returns the number with its noun, such as "1 client" or "2 clients".
func Counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
