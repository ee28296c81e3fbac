// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"forkrig/rig"
)

// TestBirthIsBetweenLooks: a process that the last look did not see was born after that began.
func TestBirthIsBetweenLooks(t *testing.T) {
	w := newWatched(&rig.Host{Name: "h"})
	w.seeProcesses(nil, look{100, 150}, nil)
	var born []time.Duration
	w.seeProcesses(rig.ProcessInfos{{PID: 1, Age: 200}, {PID: 2, Age: 80}, {PID: 3, Age: -90}}, look{200, 250}, func(n processNote) { born = append(born, n.born) })
	assert.Equal(t, []time.Duration{100, 120, 250}, born)
}

// TestListenerWithAnotherInodeIsAnother, unless one of several that have its name is still there.
func TestListenerWithAnotherInodeIsAnother(t *testing.T) {
	w := newWatched(&rig.Host{Name: "h"})
	address := netip.MustParseAddrPort("10.0.0.1:80")
	var told []string
	see := func(inodes ...uint32) {
		var all rig.Sockets
		for _, inode := range inodes {
			all = append(all, rig.Socket{State: rig.Listening, Local: address, Inode: inode})
		}
		w.seeSockets(all, look{}, func(n socketNote) { told = append(told, fmt.Sprint(n.state, n.inode)) })
	}
	see(5)
	see(5)
	see(6, 5)
	see(6)
	see(7)
	see()
	assert.Equal(t, []string{"LISTEN5", "gone0", "LISTEN7", "gone0"}, told)
}

// TestAcceptedSocketIsTold: until a process accepts it, a socket has no inode.
func TestAcceptedSocketIsTold(t *testing.T) {
	w := newWatched(&rig.Host{Name: "h"})
	var told []string
	for _, inode := range []uint32{0, 0, 5, 5} {
		w.seeSockets(rig.Sockets{{State: rig.Established, Local: serverAddress, Remote: clientAddress, Inode: inode}}, look{},
			func(n socketNote) { told = append(told, fmt.Sprint(n.state, n.inode, n.taken)) })
	}
	assert.Equal(t, []string{"ESTABLISHED0 false", "ESTABLISHED5 true"}, told)
	got := build(Outcome{}, socketSeen(50, socketNote{socketKey: socketKey{serverAddress, clientAddress}, state: established, inode: 5, taken: true}))
	assert.Empty(t, got.Events, "it is in the same state")
}

// TestDescriptorsAreCounted: what is new is told, also of a process that has the number of one that is gone.
func TestDescriptorsAreCounted(t *testing.T) {
	w := newWatched(&rig.Host{Name: "h"})
	var told []countNote
	see := func(fds int, processes ...rig.ProcessInfo) {
		w.seeProcesses(processes, look{}, func(processNote) {})
		for _, p := range processes {
			w.seeDescriptors(p, make(rig.FDs, fds), func(holdKey) {}, func(n countNote) { told = append(told, n) })
		}
	}
	one := rig.ProcessInfo{PID: 7}
	see(3, one)
	see(3, one)
	see(4, one)
	see(0)
	see(4, one) // of another process, or again of this one
	assert.Equal(t, []countNote{{7, 3}, {7, 4}, {7, 4}}, told)
}
