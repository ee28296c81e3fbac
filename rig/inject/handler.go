// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"fmt"
	"syscall"
)

// Handler is a signal handler that a process of the subject installed by
// rt_sigaction(2). What a process inherited from its parent is not repeated.
type Handler struct {
	Signal syscall.Signal
	PID    int
	In     Where  // what the process is now
	Flags  uint64 // sa_flags as the kernel got them
}

const (
	saRestart   = 0x10000000
	saNoCldWait = 0x2
)

// Restarts says whether the kernel makes an interrupted call again (SA_RESTART).
func (h Handler) Restarts() bool { return h.Flags&saRestart != 0 }

// NoZombies says whether children end without becoming zombies (SA_NOCLDWAIT).
func (h Handler) NoZombies() bool { return h.Flags&saNoCldWait != 0 }

// String returns the handler in a few words.
func (h Handler) String() string {
	restarts := "without SA_RESTART"
	if h.Restarts() {
		restarts = "with SA_RESTART"
	}
	return fmt.Sprintf("signal %d (%v) %s, %v pid %d", int(h.Signal), h.Signal, restarts, h.In, h.PID)
}
