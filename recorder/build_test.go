// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"testing"

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
