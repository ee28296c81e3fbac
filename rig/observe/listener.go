// SPDX-License-Identifier: Apache-2.0

package observe

// ListenerOptions is what a process has set on a listening TCP socket (socket(7), tcp(7),
// ipv6(7)). The zero value is a socket on which nothing was set.
type ListenerOptions struct {
	ReuseAddr   bool // SO_REUSEADDR
	ReusePort   bool // SO_REUSEPORT
	DeferAccept bool // TCP_DEFER_ACCEPT; the kernel changes its seconds, so that they say nothing
	KeepAlive   bool // SO_KEEPALIVE
	MPTCP       bool // it takes Multipath TCP (RFC 8684), too
	V6Only      bool // IPV6_V6ONLY of an IPv6 socket: it takes no IPv4
}
