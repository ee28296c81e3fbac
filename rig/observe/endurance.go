// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

// Endurance is what a process has set on a TCP connection about how long it
// lasts when nothing is heard from the other side (socket(7), tcp(7)). The zero value
// is a connection that lasts for ever.
type Endurance struct {
	KeepAlive bool // SO_KEEPALIVE
	// With KeepAlive: the first probe after Idle, then one each Interval, and the
	// end after Probes without an answer.
	Idle, Interval time.Duration
	Probes         int
	ReceiveTimeout time.Duration // SO_RCVTIMEO; 0 is none
	SendTimeout    time.Duration // SO_SNDTIMEO; 0 is none
	UserTimeout    time.Duration // TCP_USER_TIMEOUT; 0 is the kernel's own
}
