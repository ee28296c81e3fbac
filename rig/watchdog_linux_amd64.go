package rig

import "golang.org/x/sys/unix"

// withOldCalls adds the calls that newer architectures do without.
func withOldCalls(calls map[int]string) map[int]string {
	calls[unix.SYS_POLL] = "poll"
	calls[unix.SYS_SELECT] = "select"
	calls[unix.SYS_EPOLL_WAIT] = "epoll_wait"
	calls[unix.SYS_PAUSE] = "pause"
	return calls
}
