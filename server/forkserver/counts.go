package forkserver

import (
	"encoding/json"
	"fmt"
)

// Counts is what the server counted while it ran. It is the field "counts" of
// the event "done", the last line that the server writes.
type Counts struct {
	Accepted     uint64 `json:"accepted"`     // connections accepted
	Interrupted  uint64 `json:"interrupted"`  // accept4 calls that ended with EINTR
	Reaped       uint64 `json:"reaped"`       // workers waited for, killed ones included
	ForkFailures uint64 `json:"forkFailures"` // connections closed because no worker could be started
	AcceptErrors uint64 `json:"acceptErrors"` // accept4 calls that ended with another error
	Killed       uint64 `json:"killed"`       // workers that the server killed because it had to end
}

// ParseCounts returns the counts in line, which must be the server's last line.
func ParseCounts(line []byte) (Counts, error) {
	var event struct {
		Msg    string
		Counts *Counts
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Counts{}, fmt.Errorf("parse last line of the server: %w", err)
	}
	if event.Msg != "done" || event.Counts == nil {
		return Counts{}, fmt.Errorf("parse last line of the server: event %q is not done", event.Msg)
	}
	return *event.Counts, nil
}
