// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"os"
	"sync"
	"syscall"

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

func newRequest(kind, flags int, explain func(error) error, data ...nl.NetlinkRequestData) request {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Data = data
	return request{NetlinkRequest: r, explain: explain}
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
		for _, answer := range answers {
			i, isError := answer.Header.Seq-first, answer.Header.Type == unix.NLMSG_ERROR && len(answer.Data) >= 4
			switch {
			case i >= uint32(len(requests)): // to a call that ended early
				continue
			case isError:
				if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer.Data))); errno != 0 && failed == nil {
					failed = requests[i].explain(errno)
				}
			case requests[i].reply != nil:
				requests[i].reply(answer.Data)
			}
			if isError && i == uint32(len(requests)-1) {
				return failed
			}
		}
	}
}

// receive returns what the kernel sent next. It is valid until the next call.
func (s *netlinkSocket) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, from, err := unix.Recvfrom(s.fd, s.answers[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 { // else not the kernel
			return syscall.ParseNetlinkMessage(s.answers[:n])
		}
	}
}
