// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"forkrig/rig"
)

// Schedule is what happens in a lab, one action after the other.
type Schedule struct {
	Family  rig.Family `json:"family"` // 4 or 6
	Actions []Action   `json:"actions"`
}

// maxActions is the length of the longest schedule.
const maxActions = 200

// Check returns the first thing that is wrong with the schedule.
func (s Schedule) Check() error {
	if !slices.Contains(rig.Families[:], s.Family) {
		return fmt.Errorf("family %d: give 4 or 6", int(s.Family))
	}
	if len(s.Actions) == 0 || len(s.Actions) > maxActions {
		return fmt.Errorf("%d actions: give 1 to %d", len(s.Actions), maxActions)
	}
	for i, action := range s.Actions {
		if err := action.check(); err != nil {
			return fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	return nil
}

// String returns the actions as numbered lines.
func (s Schedule) String() string {
	var b strings.Builder
	for i, action := range s.Actions {
		fmt.Fprintf(&b, "%2d. %v\n", i+1, action)
	}
	return b.String()
}

// GoString returns the schedule as Go source.
func (s Schedule) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "search.Schedule{Family: %d, Actions: []search.Action{\n", int(s.Family))
	for _, action := range s.Actions {
		fmt.Fprintf(&b, "\t%#v,\n", action)
	}
	b.WriteString("}}")
	return b.String()
}

// parseStrictly reads one JSON value and nothing else.
func parseStrictly(data []byte, value any) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// without returns the schedule without the actions from one index up to another.
func (s Schedule) without(from, to int) Schedule {
	s.Actions = slices.Concat(s.Actions[:from], s.Actions[to:])
	return s
}
