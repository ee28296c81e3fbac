// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A connection that its process gave up without finishing it holds its network
// namespace until the kernel's timers end it, some two minutes later, and it
// cannot finish while its link is down or once the namespace of its peer is
// gone (measured on Linux 6.18: 20 s after 20 such labs were killed, at least 4
// of their namespaces were still there). So init keeps a descriptor of every
// host's namespace, and when the tests die it destroys what is left of their
// connections before it lets go.

// keeperSocket is where namespaces are sent to init: that of the whole process, as the
// sandbox is. 0 where there is none. Set before f runs.
var keeperSocket int

// keeperFD is where init's child finds its end of the socket.
const keeperFD = 3

// Keep hands init a copy of a descriptor of a network namespace. It is init's as soon
// as it is sent, also when this process dies right afterwards.
func Keep(inode uint64, fd int) error { return sendToKeeper(inode, unix.UnixRights(fd)) }

// Release lets init close its copy.
func Release(inode uint64) error { return sendToKeeper(inode, nil) }

func sendToKeeper(inode uint64, rights []byte) error {
	if keeperSocket == 0 {
		return nil
	}
	message := binary.NativeEndian.AppendUint64(nil, inode)
	for {
		err := unix.Sendmsg(keeperSocket, message, rights, nil, 0)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// kept is init's side: the namespaces of living labs, by inode.
type kept struct {
	socket int // owned

	mu         sync.Mutex
	namespaces map[uint64]int // descriptors, owned
	done       chan struct{}  // closed when every sender is gone
}

func newKept(socket int) *kept {
	k := &kept{socket: socket, namespaces: map[uint64]int{}, done: make(chan struct{})}
	go k.receive()
	return k
}

func (k *kept) receive() {
	defer close(k.done)
	message := make([]byte, 8)
	control := make([]byte, unix.CmsgSpace(4))
	for {
		n, controlLen, _, _, err := unix.Recvmsg(k.socket, message, control, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < len(message) {
			return // the end: no sender is left
		}
		k.take(binary.NativeEndian.Uint64(message), control[:controlLen])
	}
}

func (k *kept) take(inode uint64, control []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fd, known := k.namespaces[inode]; known {
		unix.Close(fd)
		delete(k.namespaces, inode)
	}
	for i, fd := range descriptorsIn(control) {
		if i == 0 {
			k.namespaces[inode] = fd
		} else {
			unix.Close(fd) // a message carries one descriptor; this closes any other
		}
	}
}

// descriptorsIn returns the descriptors that came with a message (SCM_RIGHTS in
// unix(7)). They are the caller's.
func descriptorsIn(control []byte) (all []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if len(m.Data)%4 != 0 { // what the library would panic at; the kernel sends whole ones
			continue
		}
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

// endConnections ends every connection in the namespaces that are still kept. Call it
// when no process of the sandbox is left.
func (k *kept) endConnections(network Network) error {
	<-k.done
	var errs []error
	for _, fd := range k.namespaces {
		if err := network.EndConnections(fd); err != nil {
			errs = append(errs, fmt.Errorf("end the connections of a killed lab: %w", err))
		}
	}
	return errors.Join(errs...)
}
