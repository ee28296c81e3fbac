// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOrphaned: closed by its process, and not one that waits for accept or that has an owner.
func TestOrphaned(t *testing.T) {
	t.Parallel()
	for state, orphaned := range map[TCPState]bool{
		Established: false, SynReceived: false, CloseWait: false, Listening: false, TimeWait: false, NewSynReceived: false,
		FinWait1: true, FinWait2: true, Closing: true, LastAck: true,
	} {
		assert.Equal(t, orphaned, Socket{State: state}.Orphaned(), state)
		assert.False(t, Socket{State: state, Inode: 1}.Orphaned(), state)
	}
}
