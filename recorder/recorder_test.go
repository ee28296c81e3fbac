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
		interfaces: map[interfaceKey]string{}, detours: map[[2]string]bool{}, started: map[int]time.Duration{}}
}

// TestCauseIsBeforeItsEffect: the journal is told of signals when they were sent, of faults when they work, and
// of ends at once.
func TestCauseIsBeforeItsEffect(t *testing.T) {
	r := newRecorder(10, 0)
	for _, e := range []rig.Event{
		{At: 5, Who: "h/server", Kind: rig.EventStart, PID: 7, What: "started, pid 7 (there 7): server", Began: 1},
		{At: 30, Who: "h/server", Kind: rig.EventExit, PID: 7, What: "pid 7: ended by signal 15 (terminated)"},
		{At: 31, Who: "h/server", Kind: rig.EventSignal, PID: 7, What: "signal terminated", Began: 20},
		{At: 32, Who: "h", What: "plug pulled"},
		{At: 33, Who: "fault", Kind: rig.EventFault, What: "h is cut off", Span: 1, Began: 25},
		{At: 38, Who: "fault", Kind: rig.EventFault, What: "healed: h is cut off", Span: 1, Began: 25, Ends: true},
		{At: 40, Who: "check", Kind: rig.EventVerdict, What: "fail"},
	} {
		r.enterEvent(e)
	}
	got := r.Recording("", Outcome{Verdict: "fail"})
	assert.Equal(t, []string{"start started, pid 7 (there 7): server", "signal signal terminated", "fault h is cut off",
		"exit pid 7: ended by signal 15 (terminated)", "note plug pulled", "fault healed: h is cut off", "verdict fail"}, eventLines(got))
	assert.Equal(t, time.Duration(1), got.Processes[0].Began)
	assert.Equal(t, time.Duration(20), got.Events[1].At)
	assert.Equal(t, []Span{{ID: 1, Kind: Fault, Name: "h is cut off", Began: 25, Ended: 38}}, got.Spans)
	assert.Equal(t, 7, got.Focus, "the rig has terminated it")
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
