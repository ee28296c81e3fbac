// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadListenerOptions reads the options of a listening TCP socket that a process has open,
// as [ReadEndurance] reads those of a connection: no file of /proc and no answer of
// sock_diag(7) has them.
func ReadListenerOptions(of ProcessInfo, inode uint32) (o ListenerOptions, err error) {
	fd, err := copySocket(of, inode)
	if err != nil {
		return o, err
	}
	defer unix.Close(fd)
	value := func(level, option int) int {
		value, optionErr := unix.GetsockoptInt(fd, level, option)
		if optionErr != nil && err == nil {
			err = os.NewSyscallError("getsockopt", optionErr)
		}
		return value
	}
	o = ListenerOptions{
		ReuseAddr:   value(unix.SOL_SOCKET, unix.SO_REUSEADDR) != 0,
		ReusePort:   value(unix.SOL_SOCKET, unix.SO_REUSEPORT) != 0,
		DeferAccept: value(unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT) != 0,
		KeepAlive:   value(unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0,
		MPTCP:       value(unix.SOL_SOCKET, unix.SO_PROTOCOL) == unix.IPPROTO_MPTCP,
	}
	if value(unix.SOL_SOCKET, unix.SO_DOMAIN) == unix.AF_INET6 {
		o.V6Only = value(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY) != 0
	}
	return o, err
}
