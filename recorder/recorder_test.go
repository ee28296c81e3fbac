// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

func newRecorder(notes, frames int) *Recorder {
	return &Recorder{lab: emptyLab(), notes: ring[note]{most: notes}, frames: ring[Frame]{most: frames}, dropped: map[Kind]int{},
		interfaces: map[interfaceKey]string{}, started: map[int]time.Duration{}}
}

// TestDroppedIsCountedByKind: as events, so that what becomes none does not count.
func TestDroppedIsCountedByKind(t *testing.T) {
	r := newRecorder(2, 2)
	for _, n := range []note{
		{journal: &rig.Event{}}, {journal: &rig.Event{Kind: rig.EventOutput}}, {journal: &rig.Event{Kind: rig.EventOutput}},
		{hold: &holdKey{}}, {count: &countNote{}}, {socket: &socketNote{}},
		{process: &processNote{isNew: true}}, {process: &processNote{gone: true}},
		{process: &processNote{ProcessInfo: rig.ProcessInfo{State: rig.Zombie}}}, {process: &processNote{ProcessInfo: rig.ProcessInfo{State: rig.Stopped}}},
		{hold: &holdKey{}}, {hold: &holdKey{}},
	} {
		r.add(n)
	}
	host := &rig.Host{Name: "h"}
	for i, sent := range []bool{true, false, true, false, false, true} {
		r.enterFrame(host, captured{at: r.lab.Journal.Began().Add(time.Duration(i)), index: loopbackIndex, sent: sent})
	}
	r.ended = 1
	for range 2 { // the second call says the same
		assert.Equal(t, []Dropped{{Exit, 2}, {Note, 1}, {Output, 2}, {Segment, 2}, {Socket, 1}, {Start, 1}, {Stop, 1}}, r.Recording("", Outcome{}).Dropped)
	}
}
