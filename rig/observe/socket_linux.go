// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ReadSockets lists the TCP sockets of the network namespace of which the handle
// speaks. It has NETLINK_INET_DIAG.
func ReadSockets(handle *netlink.Handle) (Sockets, error) {
	rows, err := ReadSocketRows(handle)
	if err != nil {
		return nil, err
	}
	all := make(Sockets, 0, len(rows))
	for _, row := range rows {
		all = append(all, SocketOf(row))
	}
	return all, nil
}

// ReadSocketRows is [ReadSockets] as the kernel gives them.
func ReadSocketRows(handle *netlink.Handle) ([]*netlink.Socket, error) {
	var all []*netlink.Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		rows, err := dumpSockets(handle, family)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// dumpSockets dumps the TCP sockets of one family. The kernel says when the list
// changed under a dump; then the dump is made again, because a row that is
// missing would be taken for a socket that is gone.
func dumpSockets(handle *netlink.Handle, family uint8) ([]*netlink.Socket, error) {
	const attempts = 10
	for range attempts {
		rows, err := handle.SocketDiagTCP(family)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return rows, err
		}
	}
	return nil, fmt.Errorf("dump sockets: %w in each of %d attempts", netlink.ErrDumpInterrupted, attempts)
}

// SocketOf converts a row of the netlink library.
func SocketOf(row *netlink.Socket) Socket {
	return Socket{
		State:       TCPState(row.State),
		Local:       addrPort(row.Family, row.ID.Source, row.ID.SourcePort),
		Remote:      addrPort(row.Family, row.ID.Destination, row.ID.DestinationPort),
		RecvQueue:   row.RQueue,
		SendQueue:   row.WQueue,
		Inode:       row.INode,
		UID:         row.UID,
		Retransmits: row.Retrans,
		Timer:       TCPTimer(row.Timer),
		TimerLeft:   time.Duration(row.Expires) * time.Millisecond,
	}
}

// addrPort converts an address of the netlink library, which gives every IPv4
// address in its form mapped into IPv6. Where the socket is an IPv6 one, a
// mapped address stays as it is: that is what the socket has.
func addrPort(family uint8, ip net.IP, port uint16) netip.AddrPort {
	address, _ := netip.AddrFromSlice(ip)
	if family == unix.AF_INET {
		address = address.Unmap()
	}
	return netip.AddrPortFrom(address, port)
}
