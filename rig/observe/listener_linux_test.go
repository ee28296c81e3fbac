// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestReadListenerOptions reads each option of a socket that has it and of one that has not.
func TestReadListenerOptions(t *testing.T) {
	self, err := ReadProcess(os.Getpid())
	require.NoError(t, err)
	set := func(level, option int) func(fd int) error {
		return func(fd int) error { return unix.SetsockoptInt(fd, level, option, 1) }
	}
	for name, v := range map[string]struct {
		family, protocol int
		prepare          func(fd int) error
		want             ListenerOptions
	}{
		"none":         {family: unix.AF_INET},
		"none of IPv6": {family: unix.AF_INET6},
		"reuseaddr":    {family: unix.AF_INET, prepare: set(unix.SOL_SOCKET, unix.SO_REUSEADDR), want: ListenerOptions{ReuseAddr: true}},
		"reuseport":    {family: unix.AF_INET6, prepare: set(unix.SOL_SOCKET, unix.SO_REUSEPORT), want: ListenerOptions{ReusePort: true}},
		"defer":        {family: unix.AF_INET, prepare: set(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT), want: ListenerOptions{DeferAccept: true}},
		"keepalive":    {family: unix.AF_INET, prepare: set(unix.SOL_SOCKET, unix.SO_KEEPALIVE), want: ListenerOptions{KeepAlive: true}},
		"v6only":       {family: unix.AF_INET6, prepare: set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY), want: ListenerOptions{V6Only: true}},
		"mptcp":        {family: unix.AF_INET, protocol: unix.IPPROTO_MPTCP, want: ListenerOptions{MPTCP: true}},
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := unix.Socket(v.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, v.protocol)
			if v.protocol != 0 && (err == unix.EPROTONOSUPPORT || err == unix.ENOPROTOOPT) {
				t.Skip("the kernel has no Multipath TCP (CONFIG_MPTCP, net.mptcp.enabled)")
			}
			require.NoError(t, err)
			defer unix.Close(fd)
			if v.family == unix.AF_INET6 {
				require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
			}
			if v.prepare != nil {
				require.NoError(t, v.prepare(fd))
			}
			require.NoError(t, unix.Listen(fd, 1))
			var stat unix.Stat_t
			require.NoError(t, unix.Fstat(fd, &stat))
			before, err := ReadFDs(os.Getpid())
			require.NoError(t, err)
			got, err := ReadListenerOptions(self, uint32(stat.Ino))
			require.NoError(t, err)
			assert.Equal(t, v.want, got)
			after, err := ReadFDs(os.Getpid())
			require.NoError(t, err)
			assert.Len(t, after.Of(FDSocket), len(before.Of(FDSocket)), "the copy is closed")
		})
	}
	_, err = ReadListenerOptions(self, 1)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
