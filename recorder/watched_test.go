// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

// TestDescriptorsAreCounted: what is new is told, also of a process that has the number of one that is gone.
func TestDescriptorsAreCounted(t *testing.T) {
	w := newWatched(&rig.Host{Name: "h"})
	var told []countNote
	look := func(fds int, processes ...rig.ProcessInfo) {
		w.seeProcesses(processes, time.Second, func(processNote) {})
		for _, p := range processes {
			w.seeDescriptors(p, make(rig.FDs, fds), func(holdKey) {}, func(n countNote) { told = append(told, n) })
		}
	}
	one := rig.ProcessInfo{PID: 7}
	look(3, one)
	look(3, one)
	look(4, one)
	look(0)
	look(4, one) // of another process, or again of this one
	assert.Equal(t, []countNote{{7, 3}, {7, 4}, {7, 4}}, told)
}
