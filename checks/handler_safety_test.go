// SPDX-License-Identifier: Apache-2.0

package checks

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

// TestStarved: a storm on a busy machine proves nothing, and a slow listener on an idle one is not
// the machine's fault. The first two were measured at a rate of 60,000 a second.
func TestStarved(t *testing.T) {
	assert.True(t, starved(rig.StormResult{Sent: 48_100, Alone: 24_559, Duration: 24 * time.Second}, 60_000), "at low priority beside nine others")
	assert.False(t, starved(rig.StormResult{Sent: 153_817, Alone: 36_818, Duration: 3500 * time.Millisecond}, 60_000), "idle")
	assert.False(t, starved(rig.StormResult{Sent: 900_000, Alone: 5_000, Duration: 30 * time.Second}, 60_000), "a slow listener")
	assert.Equal(t, "at least 20000 signals", atLeast(36_818, 20_000))
	assert.Equal(t, "5000 signals", atLeast(5_000, 20_000))
}

// TestSlower sends a quarter of what a starved storm could, so that it pauses between signals.
func TestSlower(t *testing.T) {
	assert.Equal(t, 400.0, slower(rig.StormResult{Sent: 48_000, Duration: 30 * time.Second}))
	assert.Equal(t, 100.0, slower(rig.StormResult{Sent: 100, Duration: 30 * time.Second}), "it ends, however slow the machine")
}
