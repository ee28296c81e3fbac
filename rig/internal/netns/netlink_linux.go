// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// request is one request to the kernel.
type request struct {
	*nl.NetlinkRequest
	// explain says what the request was for. Where it returns nil, the error does not matter.
	explain func(error) error
	// reply takes the kernel's answer to a request that asks for something.
	reply func(body []byte)
}

// netlinkSocket speaks to one network namespace from any thread (netlink(7)).
type netlinkSocket struct {
	mu       sync.Mutex
	fd       int // owned; -1 where it is closed
	sequence uint32
	answers  [8 << 10]byte // a description of a device takes 2 KiB
}

// newSocket opens a socket in the network namespace of the calling thread.
func newSocket(protocol int) (*netlinkSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	timeout := unix.Timeval{Sec: 60} // what it never takes
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return &netlinkSocket{fd: fd}, nil
}

func (s *netlinkSocket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1 // another descriptor may get its number
	}
}

// execute sends the requests in one message and returns when the kernel has carried out
// all of them. The error is the first that matters: the kernel goes on with the
// other requests after one that it refused.
func (s *netlinkSocket) execute(requests ...request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.sequence + 1
	var message []byte
	for i, r := range requests {
		s.sequence++
		r.Seq = s.sequence
		if i == len(requests)-1 {
			r.Flags |= unix.NLM_F_ACK // an error is told in any case
		}
		message = append(message, r.Serialize()...) // of a length that is a multiple of 4
	}
	// The kernel answers before sendto returns.
	if err := unix.Sendto(s.fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	var failed error
	for {
		answers, err := s.receive()
		if err != nil {
			return err
		}
		for len(answers) > 0 {
			var header unix.NlMsghdr
			var body []byte
			if header, body, answers, err = cutMessage(answers); err != nil {
				return err
			}
			i := header.Seq - first
			switch {
			case i >= uint32(len(requests)): // to a call that ended early
				continue
			case header.Type != unix.NLMSG_ERROR:
				if requests[i].reply != nil {
					requests[i].reply(body)
				}
				continue
			}
			if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body))); errno != 0 && failed == nil {
				failed = requests[i].explain(errno)
			}
			if i == uint32(len(requests)-1) {
				return failed
			}
		}
	}
}

// receive returns what the kernel sent next. It is valid until the next call.
func (s *netlinkSocket) receive() ([]byte, error) {
	for {
		n, from, err := unix.Recvfrom(s.fd, s.answers[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 { // else not the kernel
			return s.answers[:n], nil
		}
	}
}

// cutMessage returns the first of several netlink messages (netlink(7)).
func cutMessage(b []byte) (header unix.NlMsghdr, body, rest []byte, err error) {
	const headerLen = unix.SizeofNlMsghdr
	if len(b) < headerLen {
		return header, nil, nil, fmt.Errorf("read an answer of netlink: %d bytes are no header", len(b))
	}
	header.Len = binary.NativeEndian.Uint32(b)
	header.Type = binary.NativeEndian.Uint16(b[4:])
	header.Seq = binary.NativeEndian.Uint32(b[8:])
	if header.Len < headerLen || uint64(header.Len) > uint64(len(b)) || header.Type == unix.NLMSG_ERROR && header.Len < headerLen+4 {
		return header, nil, nil, fmt.Errorf("read an answer of netlink: a message of %d bytes in %d", header.Len, len(b))
	}
	aligned := min((int(header.Len)+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b))
	return header, b[headerLen:header.Len], b[aligned:], nil
}
