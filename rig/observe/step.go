// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

// tick is the step of a clock that counts ticks: the longest that Linux can have.
const tick = 10 * time.Millisecond

// stepOf finds out by how much a clock of processor time goes on at a time: the
// shortest of three steps. wall is the time since the search began. A clock that has
// not gone on after five ticks, all of them used, counts ticks.
func stepOf(clock func() (time.Duration, error), wall func() time.Duration) time.Duration {
	step := tick
	last, err := clock()
	for steps := 0; steps < 3 && err == nil && wall() < 5*tick; {
		var now time.Duration
		if now, err = clock(); now > last {
			step = min(step, now-last)
			steps++
		}
		last = now
	}
	return step
}
