// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxName is the longest name of a track or mark in a trace, in bytes; maxArgument that of a text
// beside a mark.
const (
	maxName     = 200
	maxArgument = 64 << 10
)

// WritePerfetto writes the recording as a trace for ui.perfetto.dev: a track for each host and in
// it for each process, with slices for states; for each connection, with the states of both
// sides; for faults, storms and waits; and counters. Events are instants; a packet is one where
// it was sent and one where it arrived, with an arrow between them. What had no end ends with the
// recording. Times are in nanoseconds since the epoch, as in [Recording.WritePcapng]; instants of
// one track at the same time are one nanosecond apart, because they would be nested otherwise.
// The errors are those of w.
func (r Recording) WritePerfetto(w io.Writer) error {
	t := newTracks(newIndex(r))
	t.lab()
	t.lanes()
	t.hosts()
	t.links()
	t.counters()
	for _, e := range r.Events {
		t.event(e)
	}
	if err := t.write(w); err != nil {
		return fmt.Errorf("write the trace of %q: %w", label(r.Name, 100), err)
	}
	return nil
}

// tracks are the tracks of a trace and what is on them.
type tracks struct {
	index
	list []*track // a parent stands before its children
	end  time.Duration
	base uint64 // IDs go from here, so that two recordings in one trace do not clash

	whole       *track
	rig         *track // of what happens outside of hosts
	host        map[string]*track
	marks       map[string]*track // of a host, for what no process does
	process     map[int]*track
	connection  map[int]*track
	client      map[int]*track // the sides of a connection
	server      map[int]*track
	span        map[int]*track
	connections *track
}

func newTracks(x index) *tracks {
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%d %d %s", x.Began.UnixNano(), x.Seed, x.Name)
	return &tracks{
		index: x, end: lastMoment(x.Recording), base: hash.Sum64() &^ (1<<32 - 1), host: map[string]*track{}, marks: map[string]*track{},
		process: map[int]*track{}, connection: map[int]*track{}, client: map[int]*track{}, server: map[int]*track{}, span: map[int]*track{},
	}
}

// lastMoment returns the end of the recording, or the time of what is in it and later.
func lastMoment(r Recording) time.Duration {
	end := max(r.Length, 0)
	states := func(all []State) {
		for _, s := range all {
			end = max(end, s.At)
		}
	}
	for _, p := range r.Processes {
		end = max(end, p.Began, p.Ended)
		states(p.States)
	}
	for _, c := range r.Connections {
		end = max(end, c.Began, c.Ended)
		states(c.Client.States)
		states(c.Server.States)
	}
	for _, s := range r.Spans {
		end = max(end, s.Began, s.Ended)
	}
	for _, e := range r.Events {
		end = max(end, e.At)
		if e.Packet != nil {
			end = max(end, e.At+e.Packet.Took)
		}
	}
	return end
}

// track is a line of the trace. Its slices do not overlap, unless one contains the other.
type track struct {
	id, parent uint64 // the parent of 0 is the trace itself
	name       string
	rank       int    // its place among its siblings
	unit       string // of a counter; "" for other tracks
	about      []string
	marks      []mark // in order: a slice begins before those in it, and ends behind them
	instants   []mark
	count      int // of children
}

func (t *tracks) add(parent *track, name string) *track {
	n := &track{id: t.base + uint64(len(t.list)) + 1, name: label(name, maxName)}
	if parent != nil {
		parent.count++
		n.parent, n.rank = parent.id, parent.count
	} else {
		n.rank = len(t.list)
	}
	t.list = append(t.list, n)
	return n
}

// mark is something on a track.
type mark struct {
	at        time.Duration
	what      markType
	name      string
	category  string
	arguments []argument
	leaves    uint64 // a flow begins here
	arrives   uint64 // a flow ends here
	value     int64  // of a counter
}

// markType is the type of a mark, by its number in the trace (TrackEvent.Type).
type markType uint64

const (
	sliceBegin markType = 1
	sliceEnd   markType = 2
	instant    markType = 3
	counted    markType = 4
)

// argument is a text or a number beside a mark.
type argument struct {
	name   string
	text   string
	number int64
	isText bool
}

func textArgument(name, text string) argument      { return argument{name: name, text: text, isText: true} }
func numberArgument(name string, n int64) argument { return argument{name: name, number: n} }
func (k *track) slice(begin, end time.Duration, name, category string, arguments []argument, inside ...mark) {
	k.marks = append(k.marks, mark{at: begin, what: sliceBegin, name: label(name, maxName), category: category, arguments: arguments})
	k.marks = append(k.marks, inside...)
	k.marks = append(k.marks, mark{at: end, what: sliceEnd})
}

func (k *track) instant(m mark) {
	m.what, m.name, m.at = instant, label(m.name, maxName), max(m.at, 0)
	k.instants = append(k.instants, m)
}

// ended returns when something ended that began, within the recording, and whether that was seen.
func (t *tracks) ended(began, ended time.Duration) (time.Duration, bool) {
	if ended == 0 {
		return t.end, false
	}
	return max(ended, began, 0), true
}

// stateSlices returns slices for states, each until the next, between two moments.
func stateSlices(all []State, begin, end time.Duration) []mark {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b State) int { return cmp.Compare(a.At, b.At) })
	var k track
	for i, s := range all {
		next := end
		if i+1 < len(all) {
			next = min(max(all[i+1].At, begin), end)
		}
		before := s.At < begin && next == begin && i+1 < len(all)
		if s.Name != "gone" && !before && s.At <= end {
			k.slice(max(s.At, begin), next, s.Name, "state", nil)
		}
	}
	return k.marks
}

// lab adds the track of the whole lab, and that of what the rig did.
func (t *tracks) lab() {
	arguments := []argument{textArgument("kernel", t.Kernel), textArgument("seed", fmt.Sprint(t.Seed))}
	for _, n := range []argument{
		textArgument("verdict", t.Outcome.Verdict), textArgument("expected", t.Outcome.Expected), textArgument("observed", t.Outcome.Observed),
		textArgument("why", t.Outcome.Why), textArgument("words", strings.Join(t.Outcome.Words, "\n")),
	} {
		if n.text != "" {
			arguments = append(arguments, n)
		}
	}
	for _, d := range t.Dropped {
		arguments = append(arguments, numberArgument("left out: "+string(d.Kind), int64(d.Count)))
	}
	t.whole = t.add(nil, "lab")
	t.whole.slice(0, t.end, t.Name, "lab", arguments)
	if e := t.events[t.Focus]; e != nil {
		t.whole.instant(mark{at: e.At, name: fmt.Sprintf("here it went wrong: #e%d", e.ID), category: "focus"})
	}
	t.rig = t.add(nil, "rig")
}

// lanes adds tracks for spans, as many for each kind as there are spans at one time.
func (t *tracks) lanes() {
	spans := slices.Clone(t.Spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(a.Began, b.Began) })
	type lane struct {
		*track
		free time.Duration // from then on
	}
	lanes := map[Kind][]*lane{}
	names := map[Kind]string{Fault: "faults", Storm: "storms", Wait: "waits"}
	kinds := []Kind{Fault, Storm, Wait}
	for _, s := range spans {
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
			names[s.Kind] = "other " + string(s.Kind)
		}
	}
	for _, kind := range kinds {
		for _, s := range spans {
			if s.Kind != kind {
				continue
			}
			begin := max(s.Began, 0)
			end, seen := t.ended(begin, s.Ended)
			at := slices.IndexFunc(lanes[kind], func(l *lane) bool { return l.free <= begin })
			if at < 0 {
				at = len(lanes[kind])
				name := names[kind]
				if at > 0 {
					name += fmt.Sprintf(" %d", at+1)
				}
				lanes[kind] = append(lanes[kind], &lane{track: t.add(nil, name)})
			}
			l := lanes[kind][at]
			name, arguments := s.Name, []argument{numberArgument("span", int64(s.ID))}
			if hosts := strings.Join(s.Hosts, ", "); hosts != "" {
				arguments = append(arguments, textArgument("hosts", hosts))
				if s.Kind == Wait { // the others name them
					name += " on " + hosts
				}
			}
			if !seen {
				arguments = append(arguments, textArgument("ended", "not before the end of the recording"))
			}
			if s.Error != "" {
				arguments = append(arguments, textArgument("error", s.Error))
			}
			l.slice(begin, end, name, string(s.Kind), arguments)
			l.free = end
			t.span[s.ID] = l.track
		}
	}
}

// hosts adds the track of each host, and in it those of its processes and of what no process
// did.
func (t *tracks) hosts() {
	for _, h := range t.Hosts {
		k := t.onHost(h.Name)
		for _, i := range h.Interfaces {
			k.about = append(k.about, fmt.Sprintf("%s to %s: %s", i.Name, i.Peer, strings.Join(i.Addresses, " ")))
		}
	}
	for _, p := range t.Processes {
		parent := t.onHost(p.Host)
		k := t.add(parent, fmt.Sprintf("%s %d", label(p.Name, maxName-20), p.PID))
		t.process[p.ID] = k
		begin := max(p.Began, 0)
		end, seen := t.ended(begin, p.Ended)
		arguments := []argument{numberArgument("process", int64(p.ID)), numberArgument("pid", int64(p.PID))}
		if p.Parent != 0 {
			arguments = append(arguments, numberArgument("parent", int64(p.Parent)))
		}
		for _, n := range []argument{textArgument("command", p.Command), textArgument("exit", p.Exit)} {
			if n.text != "" {
				arguments = append(arguments, n)
			}
		}
		if !seen {
			arguments = append(arguments, textArgument("ended", "not before the end of the recording"))
		}
		k.slice(begin, end, p.Name, "process", arguments, stateSlices(p.States, begin, end)...)
		if len(p.Descriptors) > 0 {
			changes, last := steps{}, 0
			for _, d := range p.Descriptors {
				changes[max(d.At, 0)] += int64(d.Count - last)
				last = d.Count
			}
			if seen {
				changes[end] -= int64(last)
			}
			t.counter(k, "descriptors", "descriptors", changes)
		}
	}
}

// onHost returns the track of a host, which it adds where it must.
func (t *tracks) onHost(name string) *track {
	if t.host[name] == nil {
		t.host[name] = t.add(nil, "host "+name)
	}
	return t.host[name]
}

// links adds the tracks of connections and their sides.
func (t *tracks) links() {
	t.connections = t.add(nil, "connections")
	for _, c := range t.Connections {
		name := fmt.Sprintf("#%d %s to %s", c.ID, label(c.Client.Address, maxName/2-20), label(c.Server.Address, maxName/2-20))
		if c.Client.Address == "" {
			name = fmt.Sprintf("#%d listener %s", c.ID, label(c.Server.Address, maxName-20))
		}
		k := t.add(t.connections, name)
		t.connection[c.ID] = k
		begin := max(c.Began, 0)
		end, seen := t.ended(begin, c.Ended)
		arguments := []argument{numberArgument("connection", int64(c.ID))}
		if !seen {
			arguments = append(arguments, textArgument("ended", "not before the end of the recording"))
		}
		k.slice(begin, end, name, "connection", arguments)
		for _, side := range []struct {
			name string
			*Endpoint
			of map[int]*track
		}{{"client", &c.Client, t.client}, {"server", &c.Server, t.server}} {
			if side.Address == "" && len(side.States) == 0 {
				continue
			}
			name := side.name
			if side.Host != "" {
				name += " on " + side.Host
			}
			s := t.add(k, name)
			// What sock_diag showed is not cut to the life of the connection.
			s.marks = stateSlices(side.States, 0, t.end)
			side.of[c.ID] = s
		}
	}
}

// counters adds the counters of each host and of the lab.
func (t *tracks) counters() {
	processes, zombies := map[string]steps{}, map[string]steps{}
	for _, p := range t.Processes {
		if processes[p.Host] == nil {
			processes[p.Host], zombies[p.Host] = steps{}, steps{}
		}
		begin := max(p.Began, 0)
		end, seen := t.ended(begin, p.Ended)
		processes[p.Host].add(begin, end, seen)
		zombies[p.Host].states(p.States, "zombie", begin, end, seen)
	}
	names := slices.SortedFunc(maps.Keys(processes), func(a, b string) int { return cmp.Compare(t.host[a].id, t.host[b].id) })
	for _, name := range names {
		t.counter(t.host[name], "processes", "processes", processes[name])
		t.counter(t.host[name], "zombies", "processes", zombies[name])
	}
	open, wait := steps{}, steps{}
	for _, c := range t.Connections {
		if c.Client.Address == "" {
			continue
		}
		begin := max(c.Began, 0)
		end, seen := t.ended(begin, closed(c))
		open.add(begin, end, seen)
		wait.states(c.Client.States, "TIME_WAIT", 0, t.end, false)
		wait.states(c.Server.States, "TIME_WAIT", 0, t.end, false)
	}
	bytes, window := steps{}, t.byteWindow()
	for _, e := range t.Events {
		if e.Packet != nil && e.Packet.Bytes > 0 {
			begin := max(e.At, 0).Truncate(window)
			perSecond := int64(e.Packet.Bytes) * int64(time.Second/window)
			bytes[begin] += perSecond
			bytes[max(min(begin+window, t.end), e.At)] -= perSecond
		}
	}
	t.counter(nil, "open connections", "connections", open)
	t.counter(nil, "TIME_WAIT", "sockets", wait)
	t.counter(nil, "payload", "bytes/s", bytes)
}

// closed returns since when both sides of a connection are in TIME_WAIT or gone, 0 where one is not at the end.
func closed(c Connection) time.Duration {
	client, clientLeft := left(c.Client)
	server, serverLeft := left(c.Server)
	if !clientLeft || !serverLeft {
		return c.Ended
	}
	return cmp.Or(max(client, server), c.Ended)
}

// left says since when a side is in TIME_WAIT or gone, and whether it is at the end. One that was not seen is.
func left(e Endpoint) (since time.Duration, is bool) {
	for _, s := range slices.Backward(e.States) {
		if s.Name != timeWait && s.Name != gone {
			return since, is
		}
		since, is = s.At, true
	}
	return since, true
}

// byteWindow returns for how long bytes are added up: a power of ten from 1 ms to 1 s, and at most
// a twentieth of the recording if that is possible.
func (t *tracks) byteWindow() time.Duration {
	window := time.Millisecond
	for window < time.Second && 20*10*window <= t.end {
		window *= 10
	}
	return window
}

// steps are the changes of a counter, by their times.
type steps map[time.Duration]int64

func (s steps) add(begin, end time.Duration, ends bool) {
	s[begin]++
	if ends {
		s[end]--
	}
}

// states adds the time in a state.
func (s steps) states(all []State, name string, begin, end time.Duration, ends bool) {
	in := stateSlices(all, begin, end)
	for i, m := range in {
		if m.what == sliceBegin && m.name == name {
			last := in[i+1].at
			s.add(m.at, last, ends || last < end)
		}
	}
}

func (t *tracks) counter(parent *track, name, unit string, s steps) {
	k := t.add(parent, name)
	k.unit = unit
	s[0] += 0 // it begins with the recording
	times := slices.Sorted(maps.Keys(s))
	value := int64(0)
	for i, at := range times {
		value += s[at]
		if i == 0 || s[at] != 0 {
			k.marks = append(k.marks, mark{at: at, what: counted, value: value})
		}
	}
}

// event adds an event as an instant to the track that it belongs to most closely.
func (t *tracks) event(e Event) {
	m := mark{at: e.At, name: cmp.Or(e.Text, string(e.Kind), "event"), category: string(e.Kind), arguments: []argument{textArgument("event", fmt.Sprintf("#e%d", e.ID))}}
	if label(m.name, maxName) != m.name {
		m.arguments = append(m.arguments, textArgument("text", e.Text))
	}
	if e.ID != 0 && e.ID == t.Focus {
		m.arguments = append(m.arguments, textArgument("focus", "here it went wrong"))
	}
	if e.Packet != nil && t.connections != nil && t.connection[e.Connection] != nil {
		t.packet(e, m)
		return
	}
	for _, k := range []*track{t.span[e.Span], t.side(e.Connection, e.Host), t.connection[e.Connection], t.process[e.Process]} {
		if k != nil {
			k.instant(m)
			return
		}
	}
	if e.Host == "" {
		t.rig.instant(m)
		return
	}
	if t.marks[e.Host] == nil {
		t.marks[e.Host] = t.add(t.onHost(e.Host), "events")
	}
	t.marks[e.Host].instant(m)
}

// side returns the track of the side of a connection that a host is, or nil where it is none or
// both.
func (t *tracks) side(connection int, host string) *track {
	c := t.index.connections[connection]
	switch {
	case c == nil || c.Client.Host == c.Server.Host:
		return nil
	case c.Client.Host == host:
		return t.client[connection]
	case c.Server.Host == host:
		return t.server[connection]
	}
	return nil
}

// packet adds a packet as an instant where it was sent and, if it came, where it arrived, with a
// flow from one to the other.
func (t *tracks) packet(e Event, m mark) {
	p := e.Packet
	m.arguments = append(m.arguments, textArgument("from", p.From), textArgument("to", p.To), textArgument("flags", p.Flags), numberArgument("seq", int64(p.Seq)),
		numberArgument("ack", int64(p.Ack)), numberArgument("window", int64(p.Window)), numberArgument("bytes", int64(p.Bytes)), numberArgument("took_ns", int64(p.Took)))
	if len(p.Marks) > 0 {
		m.arguments = append(m.arguments, textArgument("marks", strings.Join(p.Marks, ", ")))
	}
	if p.First != "" {
		m.arguments = append(m.arguments, textArgument("first", p.First))
	}
	from, to := t.side(e.Connection, p.From), t.side(e.Connection, p.To)
	if p.From == p.To { // the loopback
		switch p.Side {
		case clientSide:
			from, to = t.client[e.Connection], t.server[e.Connection]
		case serverSide:
			from, to = t.server[e.Connection], t.client[e.Connection]
		}
	}
	if from == nil {
		from = t.connection[e.Connection]
	}
	if to == nil || from == to || p.Took < 0 {
		from.instant(m)
		return
	}
	m.leaves = t.base | uint64(1)<<31 | uint64(e.ID)&(1<<31-1)
	from.instant(m)
	to.instant(mark{at: max(e.At, 0) + p.Took, name: m.name, category: m.category, arguments: m.arguments[:1], arrives: m.leaves})
}
