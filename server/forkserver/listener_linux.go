// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// listener is a listening TCP socket. Its descriptor is close-on-exec.
type listener struct {
	fd      int
	address netip.AddrPort

	mu      sync.Mutex
	stopped bool
	closed  bool
}

// listen returns a listener on address. Port 0 is a free one that the kernel chooses.
func listen(address netip.AddrPort, backlog int, defect Defect) (*listener, error) {
	l := &listener{fd: -1, address: address}
	if err := l.open(backlog, defect); err != nil {
		l.close()
		return nil, fmt.Errorf("listen on %v: %w%s", address, err, remedy(err))
	}
	return l, nil
}

func (l *listener) open(backlog int, defect Defect) (err error) {
	asked := l.address
	family := unix.AF_INET
	if asked.Addr().Is6() {
		family = unix.AF_INET6
	}
	l.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if l.fd == workerConn { // where a worker has its connection
		moved, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, workerConn+1)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		unix.Close(l.fd)
		l.fd = moved
	}
	if err := l.setOptions(defect); err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		// [::] takes IPv4 connections too, whatever net.ipv6.bindv6only says.
		if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	address, err := sockaddr(asked)
	if err != nil {
		return err
	}
	if err := unix.Bind(l.fd, address); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if defect == SmallBacklog {
		backlog = 1
	}
	if err := unix.Listen(l.fd, backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	// An errno of 0 is not enough: Linux 6.0.16 returned 1 from bind on a taken port and
	// then listened on a random one, 5.15.88 returned 0 from listen and did not listen.
	bound, err := unix.Getsockname(l.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	l.address = netip.AddrPortFrom(asked.Addr(), addrPort(bound).Port())
	if asked.Port() != 0 && l.address.Port() != asked.Port() {
		return fmt.Errorf("bind took port %d: %w", l.address.Port(), unix.EADDRINUSE)
	}
	listening, err := unix.GetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_ACCEPTCONN", err)
	}
	if listening == 0 {
		return fmt.Errorf("socket does not listen: %w", unix.EADDRINUSE)
	}
	return nil
}

// setOptions sets the options that do not depend on the address. Accepted
// connections inherit them.
func (l *listener) setOptions(defect Defect) error {
	if defect != NoReuseAddr {
		// Lets a restarted server bind while old connections are in TIME_WAIT.
		// Their sockets must have had it too, so it is set on every listener.
		one := 1
		if defect == ZeroReuseAddr {
			one = 0
		}
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, one); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
		}
	}
	if defect == ReusePort {
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		}
	}
	if defect == LingerZero {
		if err := unix.SetsockoptLinger(l.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return os.NewSyscallError("setsockopt SO_LINGER", err)
		}
	}
	if defect != NoKeepAlive {
		// A client whose host vanished sends no end; its worker would wait for ever.
		if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_KEEPALIVE", err)
		}
	}
	return nil
}

// stop ends the accept that waits now and every later one with EINVAL.
//
// A flag that is looked at before accept would not do: a signal between the
// look and the call would be noticed at the next connection only. A shut down
// listener is a state of the socket, so there is no moment at which it is missed.
// The port is free as soon as the listener is closed.
func (l *listener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	if !l.closed {
		unix.Shutdown(l.fd, unix.SHUT_RD)
	}
}

// isStopped reports whether stop was called.
func (l *listener) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// close closes the socket. The kernel resets the connections that nobody accepted.
func (l *listener) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	unix.Close(l.fd)
}

// remedy says what to do about an error of listen.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "; stop the server that has it, or choose another port with -listen"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "; give -listen an address of this host"
	case errors.Is(err, unix.EACCES):
		return "; choose a port above 1023 with -listen, or run with CAP_NET_BIND_SERVICE"
	case errors.Is(err, unix.EAFNOSUPPORT):
		return "; this kernel runs without IPv6, give -listen an IPv4 address"
	}
	return ""
}

// sockaddr is the kernel's form of a.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	zone, err := zoneIndex(a.Addr().Zone())
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zone}, err
}

// zoneIndex returns the number of the interface that zone names, or is.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	// Not net.InterfaceByName: package net would bring the C library, see memory.trim.
	request, err := unix.NewIfreq(zone)
	if err != nil {
		return 0, fmt.Errorf("find interface %q: %w", zone, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, fmt.Errorf("find interface %q: %w", zone, os.NewSyscallError("ioctl SIOCGIFINDEX", err))
	}
	return request.Uint32(), nil
}

// addrPort is a as people write it: an IPv4 client of a dual-stack listener
// has an IPv4 address.
func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		address := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			address = address.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
		}
		return netip.AddrPortFrom(address, uint16(a.Port))
	}
	return netip.AddrPort{}
}
