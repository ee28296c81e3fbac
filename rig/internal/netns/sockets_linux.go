// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"forkrig/rig/observe"
)

// Sockets lists the namespace's TCP sockets.
func (ns *Namespace) Sockets() (observe.Sockets, error) { return observe.ReadSockets(ns.diag) }

// DestroyOrphans destroys the connections that no process has any more, and
// returns the other sockets. A connection whose peer is out of reach would
// otherwise hold the namespace for minutes after the last process is gone.
// Kernels without CONFIG_INET_DIAG_DESTROY keep them, and end them by their own
// timers.
func (ns *Namespace) DestroyOrphans() (owned observe.Sockets, err error) {
	_, err = ns.Destroy(func(socket observe.Socket) bool {
		if socket.State == observe.TimeWait {
			return false // it does not hold the namespace
		}
		if socket.Inode != 0 {
			owned = append(owned, socket)
		}
		return socket.Inode == 0
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = nil
	}
	return owned, err
}

// destroyedStay says whether the kernel keeps a closed connection that is destroyed. Only the
// release tells before one is: a distribution may have fixed it, and there waiting does no harm.
var destroyedStay = sync.OnceValue(func() bool {
	var name unix.Utsname
	var major, minor int
	if unix.Uname(&name) != nil {
		return false
	}
	n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return n == 2 && (major < 6 || major == 6 && minor < 11)
})

// Destroy destroys the sockets that match says yes to, and returns how many. A socket that
// ended meanwhile is no error. The error wraps [errors.ErrUnsupported] on a kernel without
// CONFIG_INET_DIAG_DESTROY.
//
// Before Linux 6.11 it leaves connections that were closed to their timers, and has the kernel try
// but once more to reach their peers (tcp_orphan_retries in tcp(7)), which takes a second or so:
// destroying one takes its timer away, and it stays for ever (fixed by commit bac76cf89816).
func (ns *Namespace) Destroy(match func(observe.Socket) bool) (n int, err error) {
	rows, err := observe.ReadSocketRows(ns.diag)
	if err != nil {
		return 0, err
	}
	var socket *netlinkSocket // for this alone, because it is rare
	impatient := false
	for _, row := range rows {
		if !match(observe.SocketOf(row)) {
			continue
		}
		if observe.SocketOf(row).Orphaned() && destroyedStay() {
			impatient = true
			continue
		}
		if socket == nil {
			if err := ns.Do(func() (err error) { socket, err = newSocket(unix.NETLINK_INET_DIAG); return err }); err != nil {
				return 0, fmt.Errorf("open a sock_diag socket: %w", err)
			}
			defer socket.close()
		}
		switch err := socket.execute(destroy(row)); {
		case err == nil:
			n++
		case !errors.Is(err, unix.ENOENT):
			return n, err
		}
	}
	if impatient {
		return n, ns.Do(func() error { return os.WriteFile(tcpSysctls+"tcp_orphan_retries", []byte("1"), 0) })
	}
	return n, nil
}

// destroy closes a socket as if its owner had given it up (tcp_abort): the peer
// gets a reset. Requires CAP_NET_ADMIN, Linux 4.9 and CONFIG_INET_DIAG_DESTROY
// (commit c1e64e298b8cad309091b95d8436a0255c84f54a).
func destroy(row *netlink.Socket) request {
	return newRequest(nl.SOCK_DESTROY, 0, func(err error) error {
		return fmt.Errorf("destroy %v: %w", observe.SocketOf(row), err)
	}, diagRequest{row})
}

// diagRequest is struct inet_diag_req_v2 for just one socket, cookie included.
// The library's own is for IPv4 only and asks the wrong namespace.
type diagRequest struct{ row *netlink.Socket }

const diagRequestLen = 56

// Len implements nl.NetlinkRequestData.
func (diagRequest) Len() int { return diagRequestLen }

// Serialize implements nl.NetlinkRequestData.
func (r diagRequest) Serialize() []byte {
	b := make([]byte, 0, diagRequestLen)
	b = append(b, r.row.Family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 1<<r.row.State)
	b = binary.BigEndian.AppendUint16(b, r.row.ID.SourcePort)
	b = binary.BigEndian.AppendUint16(b, r.row.ID.DestinationPort)
	b = append(b, diagAddress(r.row.Family, r.row.ID.Source)...)
	b = append(b, diagAddress(r.row.Family, r.row.ID.Destination)...)
	b = binary.NativeEndian.AppendUint32(b, r.row.ID.Interface)
	b = binary.NativeEndian.AppendUint32(b, r.row.ID.Cookie[0])
	return binary.NativeEndian.AppendUint32(b, r.row.ID.Cookie[1])
}

func diagAddress(family uint8, ip net.IP) []byte {
	b := make([]byte, 16)
	if family == unix.AF_INET {
		copy(b, ip.To4())
	} else {
		copy(b, ip.To16())
	}
	return b
}
