// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// atEnds returns the host at the other end of the only link, between a and b.
func atEnds(host, name string) string {
	if name == "lo" {
		return host
	}
	return map[string]string{"a": "b", "b": "a"}[host]
}

func TestFramesArePaired(t *testing.T) {
	frame := func(at time.Duration, host, name string, sent bool, data string) Frame {
		return Frame{At: at, stamp: int64(at), Host: host, Interface: name, Sent: sent, Data: []byte("to " + host + "  " + data)}
	}
	frames := []Frame{
		frame(5, "b", "eth0", false, "one"), // taken from the ring before that of its sender
		frame(1, "a", "eth0", true, "one"),
		frame(7, "a", "eth0", true, "same"),
		frame(8, "a", "eth0", true, "same"), // sent again, and only one arrives
		frame(9, "b", "eth0", false, "same"),
		frame(10, "b", "eth0", true, "lost"),
		frame(11, "a", "lo", true, "here"),
		frame(11, "a", "lo", false, "here"),
		frame(12, "b", "eth0", false, "forged"), // no host sent it
		frame(12, "b", "eth0", false, "one"),    // a copy
		frame(13, "b", "eth0", true, "one"),     // the same bytes in the other direction
	}
	got := pairFrames(frames, atEnds)
	want := []sighting{
		{at: 1, took: 4, from: "a", to: "b", frames: []int{1, 0}},
		{at: 7, took: 2, from: "a", to: "b", frames: []int{2, 4}},
		{at: 8, took: unseen, from: "a", to: "b", frames: []int{3}},
		{at: 10, took: unseen, from: "b", to: "a", frames: []int{5}},
		{at: 11, took: 0, from: "a", to: "a", frames: []int{6, 7}},
		{at: 12, from: "a", to: "b", frames: []int{8}},
		{at: 12, from: "a", to: "b", copied: true, frames: []int{9}},
		{at: 13, took: unseen, from: "b", to: "a", frames: []int{10}},
	}
	require.Len(t, got, len(want))
	for i, w := range want {
		assert.Equal(t, w, got[i], "sighting %d", i)
	}
}

func TestRingKeepsTheLastOnes(t *testing.T) {
	r := ring[int]{most: 3}
	for i := range 5 {
		oldest, full := r.add(i)
		assert.Equal(t, i >= 3, full)
		if full {
			assert.Equal(t, i-3, oldest)
		}
	}
	assert.Equal(t, []int{2, 3, 4}, r.all())
}
