// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// The sandbox as a whole is tested in package rig, with labs in it.

// FuzzDescriptorsIn: as many descriptors as fit, whatever the lengths in the message say.
func FuzzDescriptorsIn(f *testing.F) {
	f.Add(unix.UnixRights(3))
	f.Add(unix.UnixRights(3, 4, 5))
	f.Add(append(unix.UnixRights(3), unix.UnixRights(4)...))
	f.Add(unix.UnixCredentials(&unix.Ucred{Pid: 1}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0, 0, 0})
	f.Add([]byte{15, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, control []byte) {
		if fds := descriptorsIn(control); 4*len(fds) > len(control) {
			t.Errorf("%d descriptors in %d bytes", len(fds), len(control))
		}
	})
}

// TestFromInvoker: a relative path counts from where go test was started.
func TestFromInvoker(t *testing.T) {
	t.Setenv(invokerEnv, "/somewhere")
	assert.Equal(t, filepath.Join("/somewhere", "card.json"), FromInvoker("card.json"))
	assert.Equal(t, "/tmp/card.json", FromInvoker("/tmp/card.json"))
	assert.Empty(t, FromInvoker(""))
	t.Setenv(invokerEnv, "")
	assert.Equal(t, "card.json", FromInvoker("card.json"))
}
