package observe

import "golang.org/x/sys/unix"

// millisecondsOf says which argument of a call is its timeout as a number, where
// a negative one is none. This architecture has no poll and no epoll_wait.
var millisecondsOf = map[int]int{unix.SYS_EPOLL_PWAIT: 3}
