// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

// Wait is a call in which a thread waits. The zero value is a call that waits for nothing that
// is known here.
type Wait struct {
	// OnSocket says that the end of the call may be caused by the socket that was asked about:
	// the call reads from it, or polls it.
	OnSocket bool
	// Reads says that the call reads from a descriptor, so that SO_RCVTIMEO ends it. Other
	// calls poll.
	Reads bool
	// Timed says that the call ends after a time by itself, as poll(2) with a timeout does.
	Timed bool
	// Timeout is that of a Timed call that polls, as it was when the call began; 0 also where
	// it could not be read.
	Timeout time.Duration
}
