// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

// emptyLab is a lab without hosts, which has nothing to stop.
func emptyLab() *rig.Lab { return &rig.Lab{Journal: &rig.Journal{}} }

// build returns what becomes of the notes.
func build(outcome Outcome, notes ...note) Recording {
	b := newBuilder(emptyLab())
	b.Outcome = outcome
	b.enterAll(notes, nil)
	return b.finish()
}

func journalNote(e rig.Event) note { return note{at: e.At, journal: &e} }

// TestEndSaysWhatItEnds: of a fault whose begin was dropped.
func TestEndSaysWhatItEnds(t *testing.T) {
	got := build(Outcome{}, journalNote(rig.Event{At: 70, Who: "fault", Kind: rig.EventFault, What: "healed: a is cut off", Span: 4, Began: 20, Ends: true, Hosts: []string{"a"}}))
	assert.Equal(t, []Span{{ID: 1, Kind: Fault, Hosts: []string{"a"}, Name: "a is cut off", Began: 20, Ended: 70}}, got.Spans)
	assert.Equal(t, 1, got.Events[0].Span)
}

var testHost = &watched{Host: &rig.Host{Name: "h"}}

// processSeen and socketSeen are what a look saw that began 10 ns before.
func processSeen(at time.Duration, n processNote) note {
	return note{at: at, look: look{at - 10, at}, host: testHost, process: &n}
}

func socketSeen(at time.Duration, n socketNote) note {
	return note{at: at, look: look{at - 10, at}, host: testHost, socket: &n}
}

// TestFocusIsNoLauncher: a process that ends in order while the server goes on did not go wrong.
func TestFocusIsNoLauncher(t *testing.T) {
	start := journalNote(rig.Event{At: 10, Who: "h/server", Kind: rig.EventStart, PID: 7, What: "started, pid 7 (there 7): server"})
	exit := func(how string) note {
		return journalNote(rig.Event{At: 30, Who: "h/server", Kind: rig.EventExit, PID: 7, What: "pid 7: " + how})
	}
	verdict := journalNote(rig.Event{At: 90, Who: "check", Kind: rig.EventVerdict, What: "fail"})
	child := processSeen(20, processNote{ProcessInfo: rig.ProcessInfo{PID: 8, ParentPID: 7, Name: "server"}, isNew: true, born: 20})
	childGone := processSeen(28, processNote{ProcessInfo: child.process.ProcessInfo, gone: true})
	listener := socketNote{socketKey: socketKey{local: netip.MustParseAddrPort("10.0.0.1:80")}, state: "LISTEN"}
	listenerGone := func(seen time.Duration) note {
		return socketSeen(60, socketNote{socketKey: listener.socketKey, state: gone, seen: seen})
	}
	for name, v := range map[string]struct {
		how   string
		focus Kind
		notes []note
	}{
		"in order, and nothing is left":          {"exit status 0", Exit, nil},
		"a child goes on":                        {"exit status 0", Verdict, []note{child}},
		"a child goes on after an error":         {"exit status 1", Exit, []note{child}},
		"a child has ended":                      {"exit status 0", Exit, []note{child, childGone}},
		"a listener stays":                       {"exit status 0", Verdict, []note{socketSeen(80, listener)}},
		"a listener was not looked at again":     {"exit status 0", Exit, []note{socketSeen(20, listener)}},
		"a listener ended with it":               {"exit status 0", Exit, []note{socketSeen(20, listener), listenerGone(10)}},
		"a listener was seen, and ended later":   {"exit status 0", Verdict, []note{socketSeen(20, listener), listenerGone(40)}},
		"a listener stays, but it ended by SEGV": {"ended by signal 11", Exit, []note{socketSeen(80, listener)}},
	} {
		b := newBuilder(emptyLab())
		b.Hosts, b.Outcome.Verdict = []Host{{Name: "h"}}, "fail"
		b.socketsAt = map[string]time.Duration{"h": 0}
		for _, n := range v.notes {
			if n.socket != nil {
				b.socketsAt["h"] = n.look.began
			}
		}
		b.enterAll(append([]note{start, exit(v.how), verdict}, v.notes...), nil)
		got := b.finish()
		assert.Equal(t, v.focus, got.Events[got.Focus-1].Kind, name)
	}
}

// TestProcessEndsOnce: a look may find it gone before the journal says how it ended.
func TestProcessEndsOnce(t *testing.T) {
	start := journalNote(rig.Event{At: 10, Who: "h/server", Kind: rig.EventStart, PID: 7, What: "started, pid 7 (there 7): server"})
	gone := processSeen(30, processNote{ProcessInfo: rig.ProcessInfo{PID: 7}, gone: true})
	exit := journalNote(rig.Event{At: 40, Who: "h/server", Kind: rig.EventExit, PID: 7, What: "pid 7: exit status 1"})
	got := build(Outcome{}, start, gone, exit)
	assert.Equal(t, []string{"start started, pid 7 (there 7): server", "exit pid 7: exit status 1"}, eventLines(got))
	assert.Equal(t, 1, got.Events[1].Process)
	assert.Equal(t, time.Duration(40), got.Processes[0].Ended)
	assert.Equal(t, "exit status 1", got.Processes[0].Exit)

	got = build(Outcome{}, start, gone)
	assert.Equal(t, "exit server pid 7 is gone", eventLines(got)[1], "the journal does not say how it ended")
	assert.Equal(t, time.Duration(30), got.Processes[0].Ended)
}

// TestUnknownStartIsNotClaimed: of a process that becomes a zombie after its start was dropped.
func TestUnknownStartIsNotClaimed(t *testing.T) {
	zombie := rig.ProcessInfo{PID: 7, ParentPID: 3, Name: "worker", State: rig.Zombie}
	got := build(Outcome{}, processSeen(50, processNote{ProcessInfo: zombie}), processSeen(90, processNote{ProcessInfo: zombie, gone: true}))
	assert.Equal(t, []string{"exit worker pid 7 is a zombie", "exit worker pid 7 was reaped"}, eventLines(got))
	assert.Equal(t, time.Duration(50), got.Processes[0].Began)
	assert.Zero(t, got.Processes[0].Parent)
	assert.Equal(t, time.Duration(90), got.Processes[0].Ended)
}

func eventLines(r Recording) []string {
	var lines []string
	for _, e := range r.Events {
		lines = append(lines, string(e.Kind)+" "+e.Text)
	}
	return lines
}

// TestLookIsNotNewerThanItsBegin: what happened while it was read is known to be newer.
func TestLookIsNotNewerThanItsBegin(t *testing.T) {
	running := rig.ProcessInfo{PID: 7, Name: "server", State: rig.Sleeping}
	zombie := running
	zombie.State = rig.Zombie
	start := journalNote(rig.Event{At: 10, Who: "h/server", Kind: rig.EventStart, PID: 7, What: "started, pid 7 (there 7): server"})
	exit := journalNote(rig.Event{At: 95, Who: "h/server", Kind: rig.EventExit, PID: 7, What: "pid 7: exit status 1"})
	for name, n := range map[string]processNote{"new": {ProcessInfo: running, isNew: true}, "a zombie": {ProcessInfo: zombie}} {
		got := build(Outcome{}, start, exit, processSeen(100, n))
		assert.Len(t, got.Processes, 1, name)
		assert.Len(t, got.Events, 2, name)
	}

	b := newBuilder(emptyLab())
	name := socketKey{netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:40000")}
	k := b.connections.ofSegment("h", 90, segment{from: name.remote, to: name.local, syn: true})
	k.Server.States = []State{{95, closeWait}}
	b.enterAll([]note{socketSeen(100, socketNote{socketKey: name, state: established}), socketSeen(110, socketNote{socketKey: name, state: lastAck})}, nil)
	assert.Equal(t, []State{{95, closeWait}, {110, lastAck}}, k.Server.States)
	assert.Equal(t, []string{"socket LAST_ACK 10.0.0.1:80 → 10.0.0.2:40000"}, eventLines(b.Recording))
}
