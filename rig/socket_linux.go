// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"forkrig/rig/observe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sockets lists the namespace's TCP sockets.
func (ns *namespace) sockets() (Sockets, error) { return observe.ReadSockets(ns.route) }

// destroyOrphans destroys the connections that no process has any more, and
// returns the other sockets. A connection whose peer is out of reach would
// otherwise hold the namespace for minutes after the last process is gone.
// Kernels without CONFIG_INET_DIAG_DESTROY keep them, and end them by their own
// timers.
func (ns *namespace) destroyOrphans() (owned Sockets, err error) {
	rows, err := observe.ReadSocketRows(ns.route)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		socket := observe.SocketOf(row)
		switch {
		case socket.Inode != 0:
			owned = append(owned, socket)
			continue
		case socket.State == TimeWait:
			continue // it does not hold the namespace
		}
		err := ns.destroy(row)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("destroy %v: %w", socket, err)
		}
	}
	return owned, nil
}

// destroyMatching destroys the sockets that match says yes to, and returns how many.
func (ns *namespace) destroyMatching(match func(Socket) bool) (n int, err error) {
	rows, err := observe.ReadSocketRows(ns.route)
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if !match(observe.SocketOf(row)) {
			continue
		}
		switch err := ns.destroy(row); {
		case err == nil:
			n++
		case errors.Is(err, unix.ENOENT):
		case errors.Is(err, unix.EOPNOTSUPP):
			return n, &MissingError{Feature: FeatureSockDestroy, Err: err, Remedy: "use a kernel with CONFIG_INET_DIAG_DESTROY"}
		default:
			return n, fmt.Errorf("%v: %w", observe.SocketOf(row), err)
		}
	}
	return n, nil
}

// destroy closes a socket as if its owner had given it up (tcp_abort): the peer
// gets a reset. Requires CAP_NET_ADMIN, Linux 4.9 and CONFIG_INET_DIAG_DESTROY
// (commit c1e64e298b8cad309091b95d8436a0255c84f54a).
func (ns *namespace) destroy(row *netlink.Socket) error {
	// A socket for this alone: it is rare, and a second one of its kind costs
	// every namespace a third of a millisecond.
	socket, err := nl.GetNetlinkSocketAt(ns.handle, netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return fmt.Errorf("open a sock_diag socket: %w", err)
	}
	handle := &nl.SocketHandle{Socket: socket}
	defer handle.Close()
	request := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: handle}
	request.AddData(diagRequest{row})
	_, err = request.Execute(unix.NETLINK_INET_DIAG, 0)
	return err
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
