// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"math"
	"time"
)

// index finds the parts of a recording by their IDs. An ID that nothing has finds nil.
type index struct {
	Recording
	processes   map[int]*Process
	connections map[int]*Connection
	spans       map[int]*Span
	events      map[int]*Event
}

func newIndex(r Recording) index {
	return index{
		Recording:   r,
		processes:   byID(r.Processes, func(p *Process) int { return p.ID }),
		connections: byID(r.Connections, func(c *Connection) int { return c.ID }),
		spans:       byID(r.Spans, func(s *Span) int { return s.ID }),
		events:      byID(r.Events, func(e *Event) int { return e.ID }),
	}
}

func byID[T any](all []T, id func(*T) int) map[int]*T {
	found := make(map[int]*T, len(all))
	for i := range all {
		found[id(&all[i])] = &all[i]
	}
	return found
}

// sinceEpoch returns a moment of the recording in nanoseconds since the epoch; where Began is
// before it or not known, since the lab was made.
func (r Recording) sinceEpoch(at time.Duration) int64 {
	began := int64(0)
	if s := r.Began.Unix(); s > 0 && s < math.MaxInt64/int64(2*time.Second) {
		began = r.Began.UnixNano()
	}
	return began + min(max(int64(at), 0), math.MaxInt64-began)
}
