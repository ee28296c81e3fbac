// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRestartsOfInheritedHandlers are known where all handlers of the signal agree.
func TestRestartsOfInheritedHandlers(t *testing.T) {
	const parent, child = 10, 11
	s := &Session{
		handlers: map[handlerKey]uint64{{parent, syscall.SIGCHLD}: saRestart, {parent, syscall.SIGTERM}: 0, {child, syscall.SIGHUP}: saRestart},
		modes: map[syscall.Signal]restartMode{syscall.SIGCHLD: modeRestarts, syscall.SIGTERM: modeInterrupts,
			syscall.SIGHUP: modeRestarts | modeInterrupts, syscall.SIGALRM: modeRestarts | modeInterrupts},
	}
	for signal, want := range map[syscall.Signal][2]bool{
		syscall.SIGCHLD: {true, true}, syscall.SIGTERM: {false, true}, syscall.SIGHUP: {true, true},
		syscall.SIGALRM: {false, false}, syscall.SIGUSR1: {false, false},
	} {
		restarts, known := s.Restarts(child, signal)
		assert.Equal(t, want, [2]bool{restarts, known}, "%v", signal)
	}
}
