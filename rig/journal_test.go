// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJournalTellsWhatLasts(t *testing.T) {
	j := newJournal()
	endFirst := j.Begin(time.Now(), EventFault, "fault", []*Host{{Name: "a"}, nil, {Name: "b"}, {Name: "a"}}, "cuts %s", "a")
	endSecond := j.Begin(time.Now(), EventStorm, "lab", nil, "storm")
	endSecond("storm ended")
	endFirst("healed")
	j.waited(time.Now().Add(-time.Second), "host", errors.New("in vain"), "a %s", "guest")
	j.Record("lab", "end")
	all := j.Events()
	require.Len(t, all, 6)
	assert.Equal(t, []EventKind{EventFault, EventStorm, EventStorm, EventFault, EventWait, EventNote},
		[]EventKind{all[0].Kind, all[1].Kind, all[2].Kind, all[3].Kind, all[4].Kind, all[5].Kind})
	assert.Equal(t, []string{"a", "b"}, all[0].Hosts)
	assert.Equal(t, []string{"a", "b"}, all[3].Hosts)
	assert.Equal(t, all[0].Span, all[3].Span)
	assert.Equal(t, all[1].Span, all[2].Span)
	assert.NotEqual(t, all[0].Span, all[1].Span)
	assert.Positive(t, all[0].Began)
	assert.LessOrEqual(t, all[0].Began, all[0].At)
	assert.Equal(t, all[0].Began, all[3].Began)
	assert.Equal(t, []bool{false, true}, []bool{all[0].Ends, all[3].Ends})
	assert.Equal(t, "awaited a guest: in vain", all[4].What)
	assert.Equal(t, "in vain", all[4].Error)
	assert.Positive(t, all[4].Began, "not before the lab")
	assert.Zero(t, all[5].Span)
}

// TestDetailsAreNotKept: only who watches is told them, in the order of all.
func TestDetailsAreNotKept(t *testing.T) {
	j := newJournal()
	j.Detail(Event{What: "unseen"})
	var watched, followed []string
	j.Watch(func(e Event) { watched = append(watched, e.What) })
	j.Follow(func(e Event) { followed = append(followed, e.What) })
	j.Record("lab", "one")
	j.Detail(Event{What: "two"})
	j.Record("lab", "three")
	assert.Equal(t, "[one two three]", fmt.Sprint(watched))
	assert.Equal(t, "[one three]", fmt.Sprint(followed))
	assert.Len(t, j.Events(), 2)
}
