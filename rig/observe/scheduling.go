// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

// ThreadUse is what a thread had of the processors since it was started.
type ThreadUse struct {
	TID     int
	Running time.Duration // as [ReadScheduled] counts it
	Waiting time.Duration // the kernel adds a wait when it is over
	Sleeps  uint64        // as [ReadWakeups] counts them
	// Wants says whether it goes on by itself now: it runs, or waits for a processor, a lock of the
	// kernel or a disk (state D), or for the reader of a pipe that it writes to.
	Wants bool
}
