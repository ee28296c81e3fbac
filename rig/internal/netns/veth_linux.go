// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Join makes a veth pair, and brings both ends up with their addresses and routes. The
// ends appear in their namespaces at once, without passing through a third. Requires
// CAP_NET_ADMIN and CONFIG_VETH.
func Join(a, b *End) error {
	if err := a.In.route.execute(append([]request{a.create(b)}, a.up()...)...); err != nil {
		return err
	}
	return b.Up()
}

func (e *End) create(peer *End) request {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	other := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	other.AddChild(device(peer.Index, 0, 0))
	other.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(peer.Name))
	other.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(peer.In.FD())))
	return newRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, explainVethError,
		device(e.Index, 0, 0), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Name)), info)
}

// device names a device, and says which of its flags become what.
func device(index int, change, flags uint32) *nl.IfInfomsg {
	return &nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: int32(index), Change: change, Flags: flags}}
}

// explainVethError turns the error of RTM_NEWLINK into what a person can do.
func explainVethError(err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("create a veth pair: %w: the kernel lacks CONFIG_VETH, or its module is not loaded (sudo modprobe veth)", err)
	}
	return fmt.Errorf("create a veth pair: %w", err)
}

// Up brings the end up with its addresses and routes. Repeating it changes nothing. Until
// [End.State] says that it is ready it drops packets.
func (e *End) Up() error { return e.In.route.execute(e.up()...) }

// up is what brings the end up. The kernel drops the routes and the IPv6 addresses when
// the end goes down, and does not bring them back.
func (e *End) up() []request {
	up := newRequest(unix.RTM_NEWLINK, 0, func(err error) error {
		return fmt.Errorf("bring %s on %s up: %w", e.Name, e.In.Name, err)
	}, device(e.Index, unix.IFF_UP, unix.IFF_UP))
	return append([]request{up}, e.addressing()...)
}

// Down takes the end down.
func (e *End) Down() error {
	return e.In.route.execute(newRequest(unix.RTM_NEWLINK, 0, func(err error) error {
		return fmt.Errorf("take %s on %s down: %w", e.Name, e.In.Name, err)
	}, device(e.Index, unix.IFF_UP, 0)))
}

// Address gives the end its addresses and routes, where the kernel took them.
func (e *End) Address() error { return e.In.route.execute(e.addressing()...) }

func (e *End) addressing() (all []request) {
	for _, prefix := range e.Addresses {
		all = append(all, e.addressed(prefix))
	}
	for _, gateway := range e.Gateways {
		all = append(all, e.routed(gateway))
	}
	return all
}

// addressed gives the end an address.
func (e *End) addressed(prefix netip.Prefix) request {
	address := prefix.Addr()
	message := &nl.IfAddrmsg{IfAddrmsg: unix.IfAddrmsg{Family: familyOf(address), Prefixlen: uint8(prefix.Bits()), Index: uint32(e.Index)}}
	data := []nl.NetlinkRequestData{message, nl.NewRtAttr(unix.IFA_LOCAL, address.AsSlice())}
	if address.Is4() {
		data = append(data, nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(prefix)))
	} else {
		// Duplicate-address detection holds an address back for a second or more (RFC 4862
		// section 5.4); on a link of our own there is no duplicate.
		message.IfAddrmsg.Flags = unix.IFA_F_NODAD
	}
	return newRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, func(err error) error {
		if address.Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)) {
			e.In.withoutIPv6(err)
			return nil
		}
		return fmt.Errorf("give %s on %s the address %s: %w", e.Name, e.In.Name, prefix, err)
	}, data...)
}

func broadcast(prefix netip.Prefix) []byte {
	address := prefix.Addr().As4()
	host := uint32(1)<<(32-prefix.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(address[:])|host)
}

// routed sets the default route of the gateway's family.
func (e *End) routed(gateway netip.Addr) request {
	message := nl.NewRtMsg() // a unicast route of the main table
	message.Family = familyOf(gateway)
	return newRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, func(err error) error {
		if gateway.Is6() && e.In.IPv6Err() != nil {
			return nil
		}
		return fmt.Errorf("route %s by default through %s: %w", e.In.Name, gateway, err)
	}, message, nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()), nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(e.Index))))
}

func familyOf(address netip.Addr) uint8 {
	if address.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// State reads how the end is.
func (e *End) State() (State, error) {
	s := State{Addressed: true}
	look := newRequest(unix.RTM_GETLINK, 0, func(err error) error {
		return fmt.Errorf("look at %s on %s: %w", e.Name, e.In.Name, err)
	}, device(e.Index, 0, 0))
	look.reply = s.readLink
	requests := []request{look}
	for _, prefix := range e.Addresses {
		// In IPv4 an address is the namespace's at once.
		if prefix.Addr().Is6() && e.In.IPv6Err() == nil {
			s.Addressed = false
			requests = append(requests, s.lookUp(prefix.Addr()))
		}
	}
	err := e.In.route.execute(requests...)
	return s, err
}

// readLink reads a description of a device.
func (s *State) readLink(body []byte) {
	const messageLen = unix.SizeofIfInfomsg
	if len(body) < messageLen {
		return
	}
	s.Up = nl.DeserializeIfInfomsg(body).Flags&unix.IFF_UP != 0
	attributes, err := nl.ParseRouteAttr(body[messageLen:])
	if err != nil {
		return
	}
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFLA_OPERSTATE:
			s.Carrier = len(a.Value) > 0 && netlink.LinkOperState(a.Value[0]) == netlink.OperUp
		case unix.IFLA_ADDRESS:
			s.HardwareAddr = append(net.HardwareAddr(nil), a.Value...)
		}
	}
}

// lookUp asks for the route to an IPv6 address of the namespace itself. Where there is
// none, Addressed stays false.
func (s *State) lookUp(address netip.Addr) request {
	r := newRequest(unix.RTM_GETROUTE, 0, func(error) error { return nil },
		// The route as it is in the table (Linux 4.13): otherwise the kernel chooses a source
		// for it, among all addresses of all devices.
		&nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET6, Dst_len: uint8(address.BitLen()), Flags: unix.RTM_F_FIB_MATCH}},
		nl.NewRtAttr(unix.RTA_DST, address.AsSlice()))
	r.reply = func(body []byte) {
		const typeOffset = 7 // rtm_type of struct rtmsg
		s.Addressed = len(body) > typeOffset && body[typeOffset] == unix.RTN_LOCAL
	}
	return r
}

// SetNeighbour says at which hardware address a neighbour is. A fixed entry is neither
// checked nor overruled by what neighbours say; the kernel drops it when the end goes down
// (neigh_ifdown). Requires CAP_NET_ADMIN.
func (e *End) SetNeighbour(address netip.Addr, at net.HardwareAddr, fixed bool) error {
	state := uint16(netlink.NUD_REACHABLE)
	if fixed {
		state = netlink.NUD_PERMANENT
	}
	return e.In.route.execute(newRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, func(err error) error {
		// An MTU below 1280 bytes has taken IPv6 off the device.
		if address.Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)) {
			return nil
		}
		return fmt.Errorf("set the neighbour %v of %s on %s: %w", address, e.Name, e.In.Name, err)
	}, &netlink.Ndmsg{Family: familyOf(address), Index: uint32(e.Index), State: state},
		nl.NewRtAttr(netlink.NDA_DST, address.AsSlice()), nl.NewRtAttr(netlink.NDA_LLADDR, at)))
}

// SetSegmentation switches the end's TCP segmentation offload. Requires CAP_NET_ADMIN
// (SIOCETHTOOL in netdevice(7), ETHTOOL_STSO in linux/ethtool.h).
func (e *End) SetSegmentation(on bool) error {
	return e.In.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		value := struct{ command, data uint32 }{command: unix.ETHTOOL_STSO}
		if on {
			value.data = 1
		}
		request := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte // struct ifreq is longer
		}{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], e.Name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		runtime.KeepAlive(&value)
		if errno != 0 {
			return os.NewSyscallError("ioctl SIOCETHTOOL", errno)
		}
		return nil
	})
}
