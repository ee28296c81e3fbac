package rig

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

// Endurance reads the options of a TCP socket that a process of the host has
// open, through a copy of its descriptor (pidfd_getfd(2), Linux 5.6) that is
// closed at once. It needs the right to trace the process (ptrace(2)). The
// error wraps os.ErrNotExist where the process has ended or has no such socket.
func (h *Host) Endurance(of ProcessInfo, inode uint32) (Endurance, error) {
	return readEndurance(of, inode)
}
