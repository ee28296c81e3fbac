// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Profile is what was found out about a subject before its checks. The zero value is that of
// a subject that was not looked at; an empty field says that this is not known, or that it is
// not so.
type Profile struct {
	Service Service `json:"service,omitzero"`
	// Model is how it serves its clients, such as [ForkPerConnection].
	Model Model `json:"model,omitempty"`
	// Program is the file of the processes that serve connections, where they execute another
	// one than the listener.
	Program string `json:"program,omitempty"`
	// Daemonizes says that it goes on when the process that was started has ended.
	Daemonizes bool `json:"daemonizes,omitempty"`
	// Processes and Threads are how many it has, in all, before its first connection.
	Processes int `json:"processes,omitempty"`
	Threads   int `json:"threads,omitempty"`
	// User runs the processes that serve connections or, where none was seen, the listener.
	User string `json:"user,omitempty"`
	// SpeaksFirst is "server" or "client", and Greeting the begin of what a server says then,
	// with escapes as in Go.
	SpeaksFirst string `json:"speaks_first,omitempty"`
	Greeting    string `json:"greeting,omitempty"`
	// ClosesFirst is "server" or "client".
	ClosesFirst string `json:"closes_first,omitempty"`
	// Clients is how many were seen to be served at a time. It may serve more.
	Clients int `json:"clients_at_least,omitempty"`
	// OneInstance says that no second one starts while one lives, also on another host, as
	// where both want one PID file or data directory.
	OneInstance bool `json:"one_instance,omitempty"`
	// Families are those in which it serves, such as "IPv4".
	Families  []string   `json:"families,omitempty"`
	Listeners []Listener `json:"listeners,omitempty"`
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
	// Family is the one in which it was looked at, such as "IPv4".
	Family string `json:"family"`
	// Address is such as "0.0.0.0:80"; "{ip}" stands for the address that the subject was given.
	Address string `json:"address"`
	Backlog int    `json:"backlog"`
	// TakesIPv4 says that it is an IPv6 one that takes IPv4, too.
	TakesIPv4 bool `json:"takes_ipv4,omitempty"`
	// Options are those that are set, such as "SO_REUSEADDR".
	Options []string `json:"options,omitempty"`
	// Unread says why the options are not known.
	Unread string `json:"unread,omitempty"`
}

// Caught is a signal that is caught.
type Caught struct {
	Signal string `json:"signal"`
	// Restart is "yes" for a handler with SA_RESTART, "no" for one without, and "" where that
	// is not known.
	Restart string `json:"sa_restart,omitempty"`
}

// Limit is a soft resource limit and the one that the subject was started with, as numbers or
// "unlimited".
type Limit struct {
	Resource string `json:"resource"` // such as "RLIMIT_NOFILE"
	Soft     string `json:"soft"`
	Before   string `json:"before"`
}

// UnmarshalJSON reads what encoding/json writes; an empty list is none.
func (p *Profile) UnmarshalJSON(data []byte) error {
	type plain Profile
	if err := json.Unmarshal(data, (*plain)(p)); err != nil {
		return err
	}
	p.Families, p.Ignored, p.Blocked = orNil(p.Families), orNil(p.Ignored), orNil(p.Blocked)
	p.Listeners, p.Caught, p.Limits = orNil(p.Listeners), orNil(p.Caught), orNil(p.Limits)
	for i := range p.Listeners {
		p.Listeners[i].Options = orNil(p.Listeners[i].Options)
	}
	return nil
}

// Join returns the profile with the families and listeners of another one, which was made in
// another family, and with what that one alone knows.
func (p Profile) Join(other Profile) Profile {
	if p.Model == "" {
		p.Model, p.Program = other.Model, other.Program
	}
	p.Clients = max(p.Clients, other.Clients)
	p.OneInstance = p.OneInstance || other.OneInstance
	p.Families = slices.Clone(p.Families)
	for _, family := range other.Families {
		if !slices.Contains(p.Families, family) {
			p.Families = append(p.Families, family)
		}
	}
	p.Listeners = append(slices.Clone(p.Listeners), other.Listeners...)
	return p
}

// maxProfileLines is how many lines the head of a card has for the profile.
const maxProfileLines = 3

// Lines returns the profile for people: at most three lines of so many columns, where what
// finds no room is left out.
func (p Profile) Lines(columns int) []string {
	text := oneLine(strings.Join(p.phrases(), "; "))
	var all []string
	line := ""
	words := strings.Fields(text)
	for i, word := range words {
		longer := word
		if line != "" {
			longer = line + " " + word
		}
		if width(longer) <= columns || line == "" && len(all) == maxProfileLines-1 {
			line = longer
			continue
		}
		if len(all) == maxProfileLines-1 {
			line += " " + strings.Join(words[i:], " ")
			break
		}
		if line != "" {
			all = append(all, cut(line, columns))
		}
		line = word
	}
	if line != "" {
		all = append(all, cut(line, columns))
	}
	return all
}

// phrases are the profile in words, the most important ones first.
func (p Profile) phrases() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if what := p.what(); what != "" {
		add("%s", what)
	}
	if p.ClosesFirst != "" {
		add("the %s closes first", p.ClosesFirst)
	}
	switch {
	case p.Model == OneAtATime:
	case p.Clients > 0:
		add("at least %s at a time", Counted(p.Clients, "client", "clients"))
	}
	if p.OneInstance {
		add("one instance at a time, so that the checks run one after another")
	}
	if p.Greeting != "" {
		add(`greets "%s"`, cut(p.Greeting, maxGreeting))
	}
	for i, text := range p.listening() {
		if i == 0 {
			text = "listens on " + text
		}
		add("%s", text)
	}
	for i, limit := range p.Limits {
		sets := ""
		if i == 0 {
			sets = "sets "
		}
		add("%s%s %s (was %s)", sets, limit.Resource, limit.Soft, limit.Before)
	}
	if len(p.Blocked) > 0 {
		add("blocks %s", signals(p.Blocked))
	}
	if len(p.Ignored) > 0 {
		add("ignores %s", signals(p.Ignored))
	}
	if len(p.Caught) > 0 {
		add("catches %s", p.caught())
	}
	return all
}

// what says in words what the subject is.
func (p Profile) what() string {
	var parts []string
	if s := p.Service; s != (Service{}) {
		name := s.Seen
		switch {
		case s.Given == "" && (s.Seen == "none" || strings.Contains(s.Seen, "<")): // no preset
			name = "service not known (see -service)"
		case s.Given != "" && s.Given == s.Seen:
			name = s.Given
		case s.Given != "":
			name = "given: " + s.Given + "; seen: " + s.Seen
		}
		parts = append(parts, cut(oneLine(name), maxServiceShown))
	}
	switch {
	case p.Model == Inetd && p.Program != "":
		parts = append(parts, fmt.Sprintf("inetd: a process of %s for each connection", p.Program))
	case p.Program != "":
		parts = append(parts, fmt.Sprintf("%s (%s)", p.Model, p.Program))
	case p.Model != "":
		parts = append(parts, string(p.Model))
	}
	if p.Daemonizes {
		parts = append(parts, "daemonizes")
	}
	if p.Processes > 0 {
		parts = append(parts, Counted(p.Processes, "process", "processes"))
	}
	if p.Threads > p.Processes {
		parts = append(parts, Counted(p.Threads, "thread", "threads"))
	}
	if p.User != "" {
		parts = append(parts, "as user "+p.User)
	}
	return strings.Join(parts, ", ")
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
		text := fmt.Sprintf("%s backlog %d", l.Address, l.Backlog)
		options := slices.Clone(l.Options)
		if l.TakesIPv4 {
			options = append(options, "takes IPv4, too")
		}
		if len(options) > 0 {
			text += ": " + strings.Join(options, ", ")
		}
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// caught lists the signals that are caught: those that servers use most first.
func (p Profile) caught() string {
	with, without, unknown := 0, 0, 0
	for _, c := range p.Caught {
		switch c.Restart {
		case "yes":
			with++
		case "no":
			without++
		default:
			unknown++
		}
	}
	if len(p.Caught) > manySignals {
		text := signals(make([]string, len(p.Caught)))
		switch {
		case unknown > 0:
			return text
		case without == 0:
			return text + ", all with SA_RESTART"
		case with == 0:
			return text + ", none with SA_RESTART"
		}
		return fmt.Sprintf("%s, %d with SA_RESTART", text, with)
	}
	first := []string{"SIGCHLD", "SIGTERM", "SIGHUP", "SIGINT"}
	rank := func(c Caught) int {
		if i := slices.Index(first, c.Signal); i >= 0 {
			return i
		}
		return len(first)
	}
	all := slices.Clone(p.Caught)
	slices.SortStableFunc(all, func(a, b Caught) int { return rank(a) - rank(b) })
	names := make([]string, len(all))
	for i, c := range all {
		if names[i] = c.Signal; c.Restart == "yes" {
			names[i] += " (SA_RESTART)"
		}
	}
	return strings.Join(names, ", ")
}

// signals lists names of signals, or says how many they are.
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
