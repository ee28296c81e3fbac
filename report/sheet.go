// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"forkrig/recorder"
	"forkrig/scorecard"
)

// A sheet is a recording as the page holds it: clean, and with its events as rows, which take less
// than half of the room of objects. The script's model.js reads it.
type sheet struct {
	Name        string                `json:"name"`
	Outcome     recorder.Outcome      `json:"outcome"`
	Kernel      string                `json:"kernel"`
	Seed        uint64                `json:"seed,string"`
	Began       string                `json:"began"`
	Length      time.Duration         `json:"length_ns"`
	Hosts       []recorder.Host       `json:"hosts"`
	Processes   []recorder.Process    `json:"processes"`
	Connections []recorder.Connection `json:"connections"`
	Spans       []recorder.Span       `json:"spans"`
	Kinds       []recorder.Kind       `json:"kinds"` // that a row names by index
	Names       []string              `json:"names"` // of hosts, that a row names by index
	Events      []row                 `json:"events"`
	Focus       int                   `json:"focus,omitempty"`
	LeftOut     []string              `json:"left_out,omitempty"` // sentences
}

// A row is an event: its ID, time in nanoseconds, kind, host, process, connection, span and text,
// and of a packet a list of from, to, took, flags, seq, ack, window, bytes, first bytes, and marks.
type row []any

// The kinds that the script knows, in its order.
var kinds = []recorder.Kind{
	recorder.Verdict, recorder.Fault, recorder.Signal, recorder.Storm, recorder.Call, recorder.Start, recorder.Exit,
	recorder.Stop, recorder.Output, recorder.Socket, recorder.Segment, recorder.Wait, recorder.Note,
}

const maxWords = 40 // lines of the subject's last words

// newSheet returns the recording, with events in order of time. A reference to something that is
// not there is none; a host that only others name is there.
func newSheet(r recorder.Recording) *sheet {
	s := &sheet{
		Name: clean(r.Name, maxName), Kernel: clean(r.Kernel, maxName), Seed: r.Seed, Length: max(r.Length, 0),
		Outcome: recorder.Outcome{
			Verdict: clean(r.Outcome.Verdict, maxName), Expected: clean(r.Outcome.Expected, maxText),
			Observed: clean(r.Outcome.Observed, maxText), Why: clean(r.Outcome.Why, maxText),
			Words: cleanAll(r.Outcome.Words, maxText, maxWords),
		},
	}
	if !r.Began.IsZero() {
		s.Began = r.Began.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	known := map[string]int{}
	host := func(name string) string {
		name = clean(name, maxName)
		if _, is := known[name]; !is {
			known[name] = len(s.Names)
			s.Names = append(s.Names, name)
			if name != "" {
				s.Hosts = append(s.Hosts, recorder.Host{Name: name})
			}
		}
		return name
	}
	for _, h := range r.Hosts {
		name := host(h.Name)
		i := slices.IndexFunc(s.Hosts, func(h recorder.Host) bool { return h.Name == name })
		for _, link := range h.Interfaces {
			if i >= 0 {
				s.Hosts[i].Interfaces = append(s.Hosts[i].Interfaces, recorder.Interface{
					Name: clean(link.Name, maxName), Addresses: cleanAll(link.Addresses, maxName, 20), Peer: clean(link.Peer, maxName)})
			}
		}
	}
	processes, connections, spans := map[int]bool{}, map[int]bool{}, map[int]bool{}
	for _, p := range r.Processes {
		processes[p.ID] = true
		p.Host, p.Name, p.Command, p.Exit = host(p.Host), clean(p.Name, maxName), clean(p.Command, maxText), clean(p.Exit, maxName)
		p.Began, p.Ended, p.States, p.Descriptors = max(p.Began, 0), max(p.Ended, 0), cleanStates(p.States), cleanCounts(p.Descriptors)
		s.Processes = append(s.Processes, p)
	}
	for _, c := range r.Connections {
		connections[c.ID] = true
		for _, end := range []*recorder.Endpoint{&c.Client, &c.Server} {
			if end.Host != "" {
				end.Host = host(end.Host)
			}
			end.Address, end.States = clean(end.Address, maxName), cleanStates(end.States)
		}
		c.Began, c.Ended = max(c.Began, 0), max(c.Ended, 0)
		s.Connections = append(s.Connections, c)
	}
	for _, span := range r.Spans {
		spans[span.ID] = true
		span.Hosts = slices.Clone(span.Hosts)
		for i, name := range span.Hosts {
			span.Hosts[i] = host(name)
		}
		span.Name, span.Error = clean(name(span), maxText), clean(span.Error, maxText)
		span.Began, span.Ended = max(span.Began, 0), max(span.Ended, 0)
		s.Spans = append(s.Spans, span)
	}
	is := func(known map[int]bool, id int) int {
		if known[id] {
			return id
		}
		return 0
	}
	s.Kinds = slices.Clone(kinds)
	events := slices.Clone(r.Events)
	slices.SortStableFunc(events, func(a, b recorder.Event) int { return cmp.Compare(a.At, b.At) })
	for _, e := range events {
		kind := slices.Index(s.Kinds, e.Kind)
		if kind < 0 {
			kind = slices.Index(s.Kinds, recorder.Note)
		}
		one := row{e.ID, max(e.At, 0), kind, known[host(e.Host)], is(processes, e.Process), is(connections, e.Connection),
			is(spans, e.Span), clean(e.Text, maxText)}
		if p := e.Packet; p != nil {
			one = append(one, []any{known[host(p.From)], known[host(p.To)], p.Took, clean(p.Flags, maxName), p.Seq, p.Ack, p.Window,
				p.Bytes, clean(p.First, maxName), cleanAll(p.Marks, maxName, 20), clean(p.Side, maxName)})
		}
		s.Events = append(s.Events, one)
		if e.ID == r.Focus {
			s.Focus = e.ID
		}
	}
	for _, d := range r.Dropped {
		if d.Count > 0 {
			s.LeftOut = append(s.LeftOut, fmt.Sprintf("by the recorder: the oldest %s of kind %s",
				scorecard.Counted(d.Count, "event", "events"), clean(string(d.Kind), maxName)))
		}
	}
	return s
}

// name returns the name of a span without its error, which is told beside it.
func name(s recorder.Span) string {
	if s.Error == "" {
		return s.Name
	}
	return strings.TrimRight(strings.TrimSuffix(strings.TrimSpace(s.Name), strings.TrimSpace(s.Error)), ": \n")
}

func cleanStates(states []recorder.State) []recorder.State {
	var all []recorder.State
	for _, state := range states {
		all = append(all, recorder.State{At: max(state.At, 0), Name: clean(state.Name, maxName)})
	}
	slices.SortStableFunc(all, func(a, b recorder.State) int { return cmp.Compare(a.At, b.At) })
	return all
}

func cleanCounts(counts []recorder.Count) []recorder.Count {
	var all []recorder.Count
	for _, c := range counts {
		all = append(all, recorder.Count{At: max(c.At, 0), Count: max(c.Count, 0)})
	}
	slices.SortStableFunc(all, func(a, b recorder.Count) int { return cmp.Compare(a.At, b.At) })
	return all
}

// encode returns the sheet as JSON in which <, >, &, U+2028 and U+2029 are escaped, so that it can
// stand in a script element.
func (s *sheet) encode() []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // there is nothing in a sheet that has no JSON
	}
	return bytes.TrimSpace(text)
}

func (r row) id() int { return r[0].(int) }
func (r row) kind() recorder.Kind {
	return kinds[r[2].(int)]
}
func (r row) text() string { return r[7].(string) }

// packet returns the list of what a packet is, nil where the event is none.
func (r row) packet() []any {
	if len(r) < 9 {
		return nil
	}
	return r[8].([]any)
}
