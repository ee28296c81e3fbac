// SPDX-License-Identifier: Apache-2.0

package recorder

import (
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
	got := build(Outcome{}, journalNote(rig.Event{At: 70, Who: "fault", Kind: rig.EventFault, What: "healed: a is cut off", Span: 4, Began: 20, Hosts: []string{"a"}}))
	assert.Equal(t, []Span{{ID: 1, Kind: Fault, Hosts: []string{"a"}, Name: "a is cut off", Began: 20, Ended: 70}}, got.Spans)
	assert.Equal(t, 1, got.Events[0].Span)
}

var testHost = &watched{Host: &rig.Host{Name: "h"}}

func processSeen(at time.Duration, n processNote) note {
	return note{at: at, host: testHost, process: &n}
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
