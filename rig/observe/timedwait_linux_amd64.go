package observe

import "golang.org/x/sys/unix"

// millisecondsOf says which argument of a call is its timeout as a number, where
// a negative one is none.
var millisecondsOf = map[int]int{unix.SYS_POLL: 2, unix.SYS_EPOLL_WAIT: 3, unix.SYS_EPOLL_PWAIT: 3}
