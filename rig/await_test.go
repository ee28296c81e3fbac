// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWaitsTellWhatIsAwaited(t *testing.T) {
	var waits Waits
	assert.Zero(t, waits.Latest())
	ctx, cancel := context.WithCancel(WithWaits(t.Context(), &waits))
	looked := make(chan struct{})
	ended := make(chan error)
	go func() {
		looks := 0
		ended <- Await(ctx, "a comet", func() (bool, string, error) {
			if looks++; looks == 2 {
				close(looked)
			}
			return false, "a star", nil
		})
	}()
	<-looked
	latest := waits.Latest()
	assert.Equal(t, "a comet", latest.What)
	assert.Equal(t, "a star", latest.Seen)
	assert.False(t, latest.Since.IsZero())
	cancel()
	assert.ErrorIs(t, <-ended, ErrNotObserved)
	assert.Equal(t, latest, waits.Latest(), "the last one is told when it has ended")
}

func TestJournalIsFollowed(t *testing.T) {
	j := newJournal()
	j.Record("a", "before")
	var seen []string
	j.Follow(func(e Event) { seen = append(seen, e.Who+" "+e.What) })
	j.Record("b", "one %d", 1)
	j.Record("b", "two")
	assert.Equal(t, []string{"b one 1", "b two"}, seen)
}
