// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a socket of a namespace, which closes it in the end. Its calls do not block.
type socket struct {
	n  *namespace
	fd int // owned; -1 where it is closed
}

// option is an option of a socket, of SOL_SOCKET.
type option int

const (
	reuseAddr option = unix.SO_REUSEADDR
	reusePort option = unix.SO_REUSEPORT
)

func (n *namespace) open(family, kind, protocol int) (*socket, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, err
	}
	return n.adopt(fd), nil
}

func (n *namespace) adopt(fd int) *socket {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &socket{n, fd}
	n.sockets = append(n.sockets, s)
	return s
}

// tcp opens a TCP socket of the family of an address, with options set.
func (n *namespace) tcp(address string, options ...option) *socket {
	family := unix.AF_INET6
	if netip.MustParseAddrPort(address).Addr().Is4() {
		family = unix.AF_INET
	}
	s, err := n.open(family, unix.SOCK_STREAM, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		n.missing("ipv6", err)
	}
	n.must(err, "open a TCP socket")
	for _, o := range options {
		n.must(s.set(unix.SOL_SOCKET, int(o), 1), "set an option")
	}
	return s
}

// bound opens a socket that is bound to an address.
func (n *namespace) bound(address string, options ...option) *socket {
	s := n.tcp(address, options...)
	n.must(s.bind(address), "bind "+address)
	return s
}

// listener opens a socket that listens on an address.
func (n *namespace) listener(address string, backlog int, options ...option) *socket {
	s := n.bound(address, options...)
	n.must(s.listen(backlog), "listen on "+address)
	return s
}

// client opens a socket that is connected to an address.
func (n *namespace) client(address string) *socket {
	s := n.tcp(address)
	n.must(s.connect(address), "connect to "+address)
	s.awaitState(unix.BPF_TCP_ESTABLISHED)
	return s
}

// pair connects a client with a listener, and returns it and the socket that accept returned.
func (n *namespace) pair(listener *socket, address string) (client, server *socket) {
	client = n.client(address)
	return client, listener.accept()
}

// timeWait closes a connection from the active side, which is left in TIME_WAIT (RFC 9293,
// 3.6), and closes both descriptors.
func (n *namespace) timeWait(active, passive *socket) {
	n.must(unix.Shutdown(active.fd, unix.SHUT_WR), "shutdown")
	passive.awaitEnd()
	passive.close()
	// The socket itself is closed once another structure is in TIME_WAIT in its place.
	active.awaitState(unix.BPF_TCP_CLOSE)
	active.close()
}

// sockaddr is an address as system calls take it.
func sockaddr(address string) unix.Sockaddr {
	parsed := netip.MustParseAddrPort(address)
	if parsed.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: parsed.Addr().As4(), Port: int(parsed.Port())}
	}
	return &unix.SockaddrInet6{Addr: parsed.Addr().As16(), Port: int(parsed.Port())}
}

func (s *socket) bind(address string) error { return unix.Bind(s.fd, sockaddr(address)) }

func (s *socket) listen(backlog int) error { return unix.Listen(s.fd, backlog) }

// connect begins to connect.
func (s *socket) connect(address string) error {
	err := unix.Connect(s.fd, sockaddr(address))
	if errors.Is(err, unix.EINPROGRESS) {
		return nil
	}
	return err
}

// accept waits for a connection and returns it.
func (s *socket) accept() *socket {
	s.awaitEvents(unix.POLLIN, "a connection to accept")
	fd, _, err := unix.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	s.n.must(err, "accept")
	return s.n.adopt(fd)
}

func (s *socket) set(level, name, value int) error {
	return unix.SetsockoptInt(s.fd, level, name, value)
}

func (s *socket) get(level, name int) int {
	value, err := unix.GetsockoptInt(s.fd, level, name)
	s.n.must(err, "getsockopt")
	return value
}

// info returns what the kernel tells of a TCP socket (TCP_INFO in tcp(7)).
func (s *socket) info() *unix.TCPInfo {
	info, err := unix.GetsockoptTCPInfo(s.fd, unix.SOL_TCP, unix.TCP_INFO)
	s.n.must(err, "getsockopt TCP_INFO")
	return info
}

func (s *socket) state() uint8 { return s.info().State }

func (s *socket) awaitState(state uint8) {
	s.n.await("the state "+stateNames[state], func() bool { return s.state() == state })
}

// port returns the port that the socket is bound to.
func (s *socket) port() int {
	local, err := unix.Getsockname(s.fd)
	s.n.must(err, "getsockname")
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		return local.Port
	case *unix.SockaddrInet6:
		return local.Port
	}
	return 0
}

// write writes bytes, which fit.
func (s *socket) write(length int) {
	written, err := unix.Write(s.fd, make([]byte, length))
	s.n.must(err, "write")
	if written != length {
		s.n.fail("write of %d bytes wrote %d", length, written)
	}
}

// readAll reads until so many bytes have been read.
func (s *socket) readAll(length int) {
	buffer := make([]byte, length)
	for read := 0; read < length; {
		s.awaitEvents(unix.POLLIN, "bytes to read")
		got, err := unix.Read(s.fd, buffer[read:])
		s.n.must(err, "read")
		if got == 0 {
			s.n.fail("the stream ended after %d of %d bytes", read, length)
		}
		read += got
	}
}

// awaitUnread waits until so many bytes can be read.
func (s *socket) awaitUnread(length int) {
	s.n.await("bytes to read", func() bool {
		unread, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
		s.n.must(err, "ioctl SIOCINQ")
		return unread >= length
	})
}

// awaitEnd waits for the end of the stream.
func (s *socket) awaitEnd() {
	s.awaitEvents(unix.POLLIN, "the end of the stream")
	got, err := unix.Read(s.fd, make([]byte, 1))
	s.n.must(err, "read")
	if got != 0 {
		s.n.fail("there are bytes before the end of the stream")
	}
}

// error returns the error that waits on the socket, and takes it.
func (s *socket) error() error {
	if errno := s.get(unix.SOL_SOCKET, unix.SO_ERROR); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}

// awaitEvents waits for one of the events of poll(2), or an error.
func (s *socket) awaitEvents(events int16, what string) {
	if first := s.n.poll(patience, events, s); first == nil {
		s.n.fail("waited %v for %s", patience, what)
	}
}

// poll waits until one of the sockets has one of the events of poll(2), or an error or an
// end, and returns the first such. Otherwise it returns nil.
func (n *namespace) poll(bound time.Duration, events int16, sockets ...*socket) *socket {
	deadline := time.Now().Add(bound)
	for {
		over := time.Now().After(deadline)
		polled := make([]unix.PollFd, len(sockets))
		for i, s := range sockets {
			polled[i] = unix.PollFd{Fd: int32(s.fd), Events: events}
		}
		const step = 50 * time.Millisecond // so that the end of ctx is seen
		left := min(time.Until(deadline)+tick, step)
		_, err := unix.Poll(polled, int(max(left, 0).Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			n.must(err, "poll")
		}
		for i, p := range polled {
			if p.Revents != 0 {
				return sockets[i]
			}
		}
		if err := n.ctx.Err(); err != nil {
			n.fail("ended early: %w", err)
		}
		if over {
			return nil
		}
	}
}

func (s *socket) close() {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}

// stateNames are the states of TCP.
var stateNames = [...]string{
	unix.BPF_TCP_ESTABLISHED: "ESTABLISHED",
	unix.BPF_TCP_SYN_SENT:    "SYN_SENT",
	unix.BPF_TCP_SYN_RECV:    "SYN_RECV",
	unix.BPF_TCP_FIN_WAIT1:   "FIN_WAIT1",
	unix.BPF_TCP_FIN_WAIT2:   "FIN_WAIT2",
	unix.BPF_TCP_TIME_WAIT:   "TIME_WAIT",
	unix.BPF_TCP_CLOSE:       "CLOSE",
	unix.BPF_TCP_CLOSE_WAIT:  "CLOSE_WAIT",
	unix.BPF_TCP_LAST_ACK:    "LAST_ACK",
	unix.BPF_TCP_LISTEN:      "LISTEN",
	unix.BPF_TCP_CLOSING:     "CLOSING",
}

// errorName returns OK, or the name of an error, such as EADDRINUSE.
func errorName(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "OK"
	case errors.Is(err, unix.EOPNOTSUPP):
		return "EOPNOTSUPP" // the library knows it by its other name, ENOTSUP
	case errors.As(err, &errno) && unix.ErrnoName(errno) != "":
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
