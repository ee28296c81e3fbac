// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"encoding/json"
	"io"
	"time"
)

// EventSchema is the version of the lines that [Event.Write] writes.
const EventSchema = 1

// Event is one thing that happened in a run of the command. Type says what, and one other field
// says more, unless the type has none.
type Event struct {
	Type EventType `json:"type"`
	Time time.Time `json:"time"`

	Run     *RunBegin     `json:"run,omitempty"`     // of [RunBegins]
	Profile *Profile      `json:"profile,omitempty"` // of [ProfileFound]
	Cause   *Cause        `json:"cause,omitempty"`   // of [CauseFound]
	Check   *CheckName    `json:"check,omitempty"`   // of [CheckBegins] and [JournalSays]
	Journal *JournalEvent `json:"journal,omitempty"` // of [JournalSays]
	Result  *Result       `json:"result,omitempty"`  // of [CheckEnds]
	Search  *SearchState  `json:"search,omitempty"`  // of [SearchGoesOn]
	Story   *FailingStory `json:"story,omitempty"`   // of [StoryFails]
	Kernel  *KernelState  `json:"kernel,omitempty"`  // of [KernelGoesOn]
	End     *RunEnd       `json:"end,omitempty"`     // of [RunEnds]
}

// EventType is what happened. Readers should expect further ones.
type EventType string

// The types of events. A run begins with the first and, unless it is killed, ends with the last.
const (
	RunBegins    EventType = "run-begins"
	ProfileFound EventType = "profile"
	CauseFound   EventType = "cause" // again at the end of the run, with all checks; the last one of a number counts
	CheckBegins  EventType = "check-begins"
	JournalSays  EventType = "journal"
	CheckEnds    EventType = "check-ends" // also of one that never began
	SearchGoesOn EventType = "search"     // after each story
	StoryFails   EventType = "story"
	KernelGoesOn EventType = "kernel"
	RunEnds      EventType = "run-ends"
)

// EventTypes are all types.
var EventTypes = []EventType{RunBegins, ProfileFound, CauseFound, CheckBegins, JournalSays, CheckEnds, SearchGoesOn,
	StoryFails, KernelGoesOn, RunEnds}

// RunBegin is what is known of a run when it begins.
type RunBegin struct {
	Command string `json:"command"` // such as "judge"
	Subject string `json:"subject"` // the command line
	Kernel  string `json:"kernel,omitempty"`
	Machine string `json:"machine,omitempty"`
	Seed    uint64 `json:"seed,omitempty"`
	Checks  int    `json:"checks,omitempty"` // how many will end, each family counted
}

// CheckName is a check in one family.
type CheckName struct {
	Name   string `json:"name"`
	Family string `json:"family"`
}

// JournalEvent is what was done or seen in the lab of a check.
type JournalEvent struct {
	At   float64 `json:"at_ms"` // since the lab was made, in milliseconds
	Who  string  `json:"who"`   // a host, "host/process", or "lab"
	What string  `json:"what"`
}

// SearchState is how far a search has come.
type SearchState struct {
	Name    string `json:"name"`              // the way in which the server runs
	Stories int    `json:"stories"`           // that were played
	Of      int    `json:"of,omitempty"`      // how many will be, at most; 0 where a time ends the search
	Actions int    `json:"actions"`           // that did something
	Failed  int    `json:"failed"`            // stories
	Broken  int    `json:"broken"`            // stories
	LeftMS  int64  `json:"left_ms,omitempty"` // until the time that ends the search
}

// FailingStory is a story that failed, as short as it could be made.
type FailingStory struct {
	Name     string `json:"name"` // the way in which the server runs
	Seed     uint64 `json:"seed"`
	Story    string `json:"story"` // in words
	Observed string `json:"observed"`
	Cause    string `json:"cause"`
	Repeat   string `json:"repeat"` // the command that plays it again
}

// KernelState is what happens to one of several kernels.
type KernelState struct {
	Name string `json:"name"`
	What string `json:"what"` // in words
	Done int    `json:"done"` // jobs that have ended, of all kernels
	Of   int    `json:"of"`
}

// RunEnd is what came of a run.
type RunEnd struct {
	Status   int     `json:"status"` // that the command is going to exit with
	Complete bool    `json:"complete"`
	EndedBy  string  `json:"ended_by,omitempty"` // what ended a run that is not complete, such as "SIGINT"
	Error    string  `json:"error,omitempty"`    // why nothing could be judged
	Counts   *Counts `json:"counts,omitempty"`   // of verdicts, where there are any
}

// MarshalJSON writes the schema and the time in UTC with microseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	type plainEvent Event
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return encode(struct {
		Schema int `json:"schema"`
		plainEvent
	}{EventSchema, plainEvent(e)})
}

// Write writes the event as one line of JSON, in one call. Characters that are not printable are
// escaped, so that the lines may be shown on a terminal.
func (e Event) Write(w io.Writer) error {
	line, err := encode(json.Marshaler(e))
	if err == nil {
		_, err = w.Write(escapeJSON(line))
	}
	return err
}
