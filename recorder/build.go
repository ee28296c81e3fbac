// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"forkrig/rig"
)

// Recording stops the recorder and returns what was recorded. name says of what, and outcome what came
// of it.
func (r *Recorder) Recording(name string, outcome Outcome) Recording {
	r.Stop()
	r.mu.Lock()
	notes, frames := r.notes.all(), r.frames.all()
	dropped, faults, ended, complete := maps.Clone(r.dropped), slices.Clone(r.faults), r.ended, r.complete
	detours := maps.Clone(r.detours)
	// The frames of a host come in the order in which its ring is read: of one from before, the other
	// end may have been dropped.
	frames = slices.DeleteFunc(frames, func(f Frame) bool {
		if f.At < r.whole && f.Sent {
			dropped[Segment]++
		}
		return f.At < r.whole
	})
	socketsAt := map[string]time.Duration{}
	for _, w := range r.hosts {
		socketsAt[w.Name] = w.socketsAt
	}
	r.mu.Unlock()

	b := newBuilder(r.lab)
	b.socketsAt = socketsAt
	b.settled, b.complete = ended-settling, complete
	for end := range detours {
		b.detours[way{b.peers[end], end[0]}] = true
	}
	b.Name, b.Outcome, b.Seed, b.Kernel = name, outcome, r.lab.Seed, rig.Kernel()
	b.Frames = frames
	b.enterAll(notes, frames)
	for _, fault := range faults {
		b.add(Event{At: b.Length, Kind: Note, Text: "not recorded: " + fault})
	}
	for _, kind := range slices.Sorted(maps.Keys(dropped)) {
		b.Dropped = append(b.Dropped, Dropped{kind, dropped[kind]})
	}
	return b.finish()
}

// builder makes a recording of what was seen, which it is told in order of time.
type builder struct {
	Recording
	peers       map[[2]string]string  // the host at the other end, by host and interface
	living      map[int]int           // the process that has the number now, by its ID
	ended       map[int]time.Duration // when the last process that had the number has ended
	exits       map[int]time.Duration // when the journal says that the process of the number ended
	named       map[string]int        // the latest process, by "host/name"
	spans       map[int]int           // by the number that the journal gave it
	connections connections
	owners      owners
	// A packet was lost that is not seen to arrive, left before settled, and was sent to a complete host; on a
	// detour it may be late, but not later than what was sent after it.
	settled  time.Duration
	complete map[string]bool // hosts of which all packets were captured
	detours  map[way]bool
	arrived  map[way]time.Duration // when the last one left that arrived
	// When the last look at the sockets of each host began.
	socketsAt map[string]time.Duration
}

// way is that from one host to another.
type way struct{ from, to string }

// settling is how long a packet may take from one end of a link to the other on a busy machine.
const settling = 20 * time.Millisecond

func newBuilder(lab *rig.Lab) *builder {
	b := &builder{peers: map[[2]string]string{}, living: map[int]int{}, ended: map[int]time.Duration{}, exits: map[int]time.Duration{}, named: map[string]int{},
		spans: map[int]int{}, detours: map[way]bool{}, arrived: map[way]time.Duration{},
		owners: owners{sides: map[uint64]side{}, held: map[uint64][]int{}}}
	b.Schema, b.Began = Schema, lab.Journal.Began()
	b.Hosts, b.Processes, b.Connections, b.Spans, b.Events, b.Dropped = []Host{}, []Process{}, []Connection{}, []Span{}, []Event{}, []Dropped{}
	owners := map[netip.Addr]string{}
	for _, host := range lab.Hosts() {
		h := Host{Name: host.Name, Interfaces: []Interface{}}
		b.peers[[2]string{host.Name, "lo"}] = host.Name
		for _, i := range host.Interfaces() {
			end := Interface{Name: i.Name, Addresses: []string{}, Peer: i.Peer.Name}
			for _, prefix := range i.Addresses {
				end.Addresses = append(end.Addresses, prefix.String())
				owners[prefix.Addr()] = host.Name
			}
			h.Interfaces = append(h.Interfaces, end)
			b.peers[[2]string{host.Name, i.Name}] = i.Peer.Name
		}
		b.Hosts = append(b.Hosts, h)
	}
	b.connections = connections{now: map[pair]*connection{}, answers: map[port][]answer{}, owner: func(host string, a netip.AddrPort) string {
		if a.Addr().IsLoopback() {
			return host
		}
		return owners[a.Addr()]
	}}
	return b
}

// enterAll enters what was noted and the packets, in order of time.
func (b *builder) enterAll(notes []note, frames []Frame) {
	packets := pairFrames(frames, func(host, name string) string { return b.peers[[2]string{host, name}] })
	slices.SortStableFunc(packets, func(x, y sighting) int { return cmp.Compare(x.at, y.at) })
	for _, s := range packets {
		protocol := decode(frames[s.frames[0]].Data).protocol
		if len(s.frames) == 2 && (protocol == "TCP" || protocol == "UDP") { // others may overtake them on a detour
			b.arrived[way{s.from, s.to}] = s.at
		}
	}
	// What a look saw may be entered after an event that came later.
	slices.SortStableFunc(notes, func(x, y note) int { return cmp.Compare(x.at, y.at) })
	for _, n := range notes {
		if n.journal != nil && n.journal.Kind == rig.EventExit {
			b.exits[n.journal.PID] = n.at
		}
	}
	for len(notes) > 0 || len(packets) > 0 {
		if len(packets) > 0 && (len(notes) == 0 || packets[0].at <= notes[0].at) {
			b.enterPacket(packets[0])
			packets = packets[1:]
			continue
		}
		switch n := notes[0]; {
		case n.journal != nil:
			b.enterJournal(*n.journal)
		case n.process != nil:
			b.enterProcess(n)
		case n.socket != nil:
			b.enterSocket(n)
		case n.hold != nil && b.living[n.hold.pid] > 0:
			b.owners.enterHold(b.living[n.hold.pid], *n.hold)
		case n.count != nil && b.living[n.count.pid] > 0:
			p := b.process(b.living[n.count.pid])
			p.Descriptors = append(p.Descriptors, Count{n.at, n.count.count})
		}
		notes = notes[1:]
	}
}

// add adds an event, and returns its ID.
func (b *builder) add(e Event) int {
	e.ID = len(b.Events) + 1
	e.At = max(e.At, 0)
	b.Events = append(b.Events, e)
	b.Length = max(b.Length, e.At)
	return e.ID
}

// enterJournal enters an event of the journal.
func (b *builder) enterJournal(e rig.Event) {
	event := Event{At: e.At, Kind: cmp.Or(Kind(e.Kind), Note), Text: e.What, Host: b.hostOf(e.Who), Process: b.living[e.PID]}
	if event.Process == 0 && e.PID == 0 {
		event.Process = b.named[e.Who]
	}
	switch e.Kind {
	case rig.EventStart:
		_, command, _ := strings.Cut(e.What, "): ")
		_, name, _ := strings.Cut(e.Who, "/")
		if p := b.process(event.Process); p != nil && p.Command == "" { // it was seen before the journal told of it
			p.Name, p.Command = name, command
		} else {
			event.Process = b.begin(Process{Host: event.Host, Name: name, PID: e.PID, Command: command, Began: e.At})
		}
		b.named[e.Who] = event.Process
	case rig.EventExit:
		if p := b.process(event.Process); p != nil {
			b.end(p, e.At)
			_, p.Exit, _ = strings.Cut(e.What, ": ")
		}
	case rig.EventWait:
		name := strings.TrimSuffix(strings.TrimPrefix(e.What, "awaited "), ": "+e.Error)
		b.Spans = append(b.Spans, Span{ID: len(b.Spans) + 1, Kind: Wait, Hosts: some(event.Host), Name: name, Began: e.Began, Ended: e.At, Error: e.Error})
		event.Span = len(b.Spans)
	}
	if e.Span != 0 {
		event.Span = b.enterSpan(e)
	}
	b.add(event)
}

// enterSpan begins or ends what the journal gave a number, and returns its ID. The event of its begin may
// have been dropped.
func (b *builder) enterSpan(e rig.Event) int {
	id, known := b.spans[e.Span]
	if !known {
		id = len(b.Spans) + 1
		name := strings.TrimPrefix(strings.TrimPrefix(e.What, "storm begins: "), "healed: ")
		b.Spans = append(b.Spans, Span{ID: id, Kind: Kind(e.Kind), Hosts: e.Hosts, Name: name, Began: cmp.Or(e.Began, e.At)})
		b.spans[e.Span] = id
	}
	if e.Ends {
		b.Spans[id-1].Ended = e.At
	}
	return id
}

// some is a list of the name, or of nothing.
func some(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// hostOf is the host in "host/process" or "host", "" where it is none.
func (b *builder) hostOf(who string) string {
	name, _, _ := strings.Cut(who, "/")
	if slices.ContainsFunc(b.Hosts, func(h Host) bool { return h.Name == name }) {
		return name
	}
	return ""
}

// begin adds a process, and returns its ID.
func (b *builder) begin(p Process) int {
	p.ID, p.States = len(b.Processes)+1, []State{{p.Began, stateName(rig.RunningState)}}
	b.Processes = append(b.Processes, p)
	b.living[p.PID] = p.ID
	return p.ID
}

func (r *Recording) process(id int) *Process {
	if id == 0 {
		return nil
	}
	return &r.Processes[id-1]
}

// end enters that a process has ended.
func (b *builder) end(p *Process, at time.Duration) {
	p.Ended = at
	b.ended[p.PID] = at
	delete(b.living, p.PID)
}

// enterProcess enters what the observer saw of a process.
func (b *builder) enterProcess(seen note) {
	host, at, n := seen.host.Name, seen.at, *seen.process
	id := b.living[n.PID]
	if id == 0 && b.ended[n.PID] > seen.look.began {
		return // it has ended since it was seen
	}
	if id == 0 && !n.isNew && !n.gone { // what told of its start was dropped
		id = b.begin(Process{Host: host, Name: n.Name, PID: n.PID, Began: at})
	}
	p := b.process(id)
	event := Event{At: at, Host: host, Process: id}
	switch {
	case n.gone && (p == nil || p.Command != "" && b.exits[n.PID] > at):
		return // the journal said so before, or will say how it ended
	case n.gone:
		b.end(p, at)
		event.Kind, event.Text = Exit, fmt.Sprintf("%s pid %d is gone", p.Name, p.PID)
		if last := p.States[len(p.States)-1]; last.Name == stateName(rig.Zombie) {
			event.Text = fmt.Sprintf("%s pid %d was reaped", p.Name, p.PID)
		}
	case p == nil || n.isNew && p.Command == "":
		id = b.begin(Process{Host: host, Name: n.Name, PID: n.PID, Parent: b.living[n.ParentPID], Began: min(n.born, at)})
		p, event.Process = b.process(id), id
		event.Kind, event.Text = Start, fmt.Sprintf("%s pid %d, child of %d", n.Name, n.PID, n.ParentPID)
		if n.State == rig.Zombie || n.State == rig.Stopped {
			p.States = append(p.States, State{seen.look.ended, stateName(n.State)})
			event.Text += ", seen as " + stateName(n.State)
		}
	default:
		state := stateName(n.State)
		if n.Name != p.Name && p.Command == "" {
			p.Name = n.Name // it has executed another program
		}
		if p.States[len(p.States)-1].Name == state {
			return
		}
		p.States = append(p.States, State{at, state})
		event.Kind, event.Text = Stop, fmt.Sprintf("%s pid %d %s", p.Name, p.PID, map[string]string{"stopped": "is stopped", "runs": "goes on"}[state])
		if n.State == rig.Zombie {
			event.Kind, event.Text = Exit, fmt.Sprintf("%s pid %d is a zombie", p.Name, p.PID)
		}
	}
	b.add(event)
}

// enterSocket enters what the observer saw of a socket.
func (b *builder) enterSocket(seen note) {
	host, at, n := seen.host.Name, seen.at, *seen.socket
	if n.remote.Port() == 0 {
		seen.look.ended = b.connections.changed(host, at, n)
	}
	k := b.connections.ofSocket(host, seen.look.ended, n)
	b.owners.enterSocket(k, n)
	k.seen = n.seen
	if n.taken || !k.enterState(host, seen.look, n) {
		return
	}
	text := fmt.Sprintf("%s %s", n.state, n.local)
	if n.remote.Port() != 0 {
		text += " → " + n.remote.String()
	}
	b.add(Event{At: at, Kind: Socket, Host: host, Connection: k.ID, Text: text})
}

// enterPacket enters a packet. What keeps a link going, such as ARP, stays in the frames only.
func (b *builder) enterPacket(s sighting) {
	segment := decode(b.Frames[s.frames[0]].Data)
	if segment.protocol == "" {
		return
	}
	event := Event{At: s.at, Kind: Segment, Host: s.from}
	packet := Packet{Bytes: segment.bytes, First: firstBytes(segment.first)}
	if segment.protocol == "TCP" {
		k := b.connections.ofSegment(s.from, s.at, segment)
		event.Connection = k.ID
		packet = k.enterSegment(segment)
		b.connections.hear(s.from, s.at, segment, k.side(segment.to).last().Name)
		k.follow(segment, s.at, s.took)
	}
	packet.From, packet.To, packet.Took = s.from, s.to, s.took
	switch {
	case s.copied:
		packet.Marks = append(slices.DeleteFunc(packet.Marks, func(mark string) bool { return mark == "retransmission" }), "duplicate")
	case s.took == unseen && b.isLost(s):
		packet.Marks = append(packet.Marks, "lost")
	case s.took == unseen:
		packet.Marks = append(packet.Marks, "not seen to arrive")
	}
	event.Packet = &packet
	event.Text = segment.describe(&packet)
	id := b.add(event)
	for _, i := range s.frames {
		b.Frames[i].Event = id
	}
}

// isLost says whether a packet that is not seen to arrive will not.
func (b *builder) isLost(s sighting) bool {
	w := way{s.from, s.to}
	return s.at < b.settled && b.complete[s.to] && (!b.detours[w] || s.at+settling < b.arrived[w])
}

// mostFirst is how many bytes of a payload are shown.
const mostFirst = 48

// firstBytes are the first bytes of a payload as text.
func firstBytes(payload []byte) string {
	if len(payload) == 0 {
		return ""
	}
	quoted := fmt.Sprintf("%q", payload[:min(len(payload), mostFirst)])
	return quoted[1 : len(quoted)-1]
}

// finish completes the recording.
func (b *builder) finish() Recording {
	b.endRefused()
	for _, k := range b.connections.all {
		b.Connections = append(b.Connections, k.Connection)
	}
	b.owners.name(&b.Recording)
	b.Focus = b.focus()
	return b.Recording
}

// leftServer says whether the end of a process left a descendant, or a listener on its host, as where a server
// puts itself into the background.
func (b *builder) leftServer(p *Process) bool {
	return slices.ContainsFunc(b.Processes, func(other Process) bool {
		return b.descends(other.ID, p.ID) && (other.Ended == 0 || other.Ended > p.Ended)
	}) || slices.ContainsFunc(b.connections.all, func(k *connection) bool {
		seen := k.seen
		if k.Ended == 0 {
			seen = b.socketsAt[p.Host]
		}
		return k.listener && k.Server.Host == p.Host && seen > p.Ended
	})
}

// focus is the event where it went wrong: the unexpected end of a process that the rig started, or
// else its last own words, or else the verdict.
func (b *builder) focus() int {
	verdict := slices.IndexFunc(b.Events, func(e Event) bool { return e.Kind == Verdict })
	if verdict < 0 || b.Outcome.Verdict == "pass" || b.Outcome.Verdict == "skip" {
		return 0
	}
	words := ""
	if n := len(b.Outcome.Words); n > 0 {
		words = strings.TrimSpace(b.Outcome.Words[n-1])
	}
	spoke := 0
	signalled := map[int]bool{} // by the rig
	for _, e := range b.Events[:verdict] {
		switch p := b.process(e.Process); {
		case e.Kind == Output && words != "" && strings.Contains(e.Text, words):
			spoke = e.ID
		case e.Kind == Signal && e.Process == 0: // to several
			signalled[0] = true
		case e.Kind == Signal:
			signalled[e.Process] = true
		case e.Kind == Exit && p != nil && p.Command != "" && p.Ended == e.At && !signalled[p.ID] && !signalled[0]:
			if p.Exit != (rig.Exit{}).String() || !b.leftServer(p) {
				return e.ID
			}
		}
	}
	return cmp.Or(spoke, b.Events[verdict].ID)
}
