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
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(e.Index)
	r.AddData(message)
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	other := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(other, unix.AF_UNSPEC).Index = int32(peer.Index)
	other.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(peer.Name))
	other.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(peer.In.FD())))
	r.AddData(info)
	return request{NetlinkRequest: r, explain: explainVethError}
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
	return append([]request{e.setUp(true)}, e.addressing()...)
}

// Down takes the end down.
func (e *End) Down() error { return e.In.route.execute(e.setUp(false)) }

func (e *End) setUp(up bool) request {
	return request{setUp(e.Index, up), func(err error) error {
		return fmt.Errorf("bring %s on %s %s: %w", e.Name, e.In.Name, map[bool]string{true: "up", false: "down"}[up], err)
	}, nil}
}

func setUp(index int, up bool) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index, message.Change = int32(index), unix.IFF_UP
	if up {
		message.Flags = unix.IFF_UP
	}
	r.AddData(message)
	return r
}

func loopbackUp() request {
	const loopbackIndex = 1 // LOOPBACK_IFINDEX: the first device of every namespace
	return request{setUp(loopbackIndex, true), func(err error) error { return fmt.Errorf("bring the loopback up: %w", err) }, nil}
}

// Address gives the end its addresses and routes, where the kernel took them.
func (e *End) Address() error { return e.In.route.execute(e.addressing()...) }

func (e *End) addressing() []request {
	var all []request
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
	r := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	message := nl.NewIfAddrmsg(familyOf(prefix.Addr()))
	message.Prefixlen, message.Index = uint8(prefix.Bits()), uint32(e.Index)
	if prefix.Addr().Is6() {
		// Duplicate-address detection holds an address back for a second or more (RFC 4862
		// section 5.4); on a link of our own there is no duplicate.
		message.IfAddrmsg.Flags = unix.IFA_F_NODAD
	}
	r.AddData(message)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, prefix.Addr().AsSlice()))
	if prefix.Addr().Is4() {
		r.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(prefix)))
	}
	return request{r, func(err error) error {
		if prefix.Addr().Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)) {
			e.In.withoutIPv6(err)
			return nil
		}
		return fmt.Errorf("give %s on %s the address %s: %w", e.Name, e.In.Name, prefix, err)
	}, nil}
}

func broadcast(prefix netip.Prefix) []byte {
	address := prefix.Addr().As4()
	host := uint32(1)<<(32-prefix.Bits()) - 1
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(address[:])|host)
}

// routed sets the default route of the gateway's family.
func (e *End) routed(gateway netip.Addr) request {
	r := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	message := nl.NewRtMsg()
	message.Family = uint8(familyOf(gateway))
	r.AddData(message)
	r.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(e.Index))))
	return request{r, func(err error) error {
		if gateway.Is6() && e.In.IPv6Err() != nil {
			return nil
		}
		return fmt.Errorf("route %s by default through %s: %w", e.In.Name, gateway, err)
	}, nil}
}

func familyOf(address netip.Addr) int {
	if address.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// State reads how the end is.
func (e *End) State() (State, error) {
	s := State{Addressed: true}
	look := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(e.Index)
	look.AddData(message)
	requests := []request{{look, func(err error) error {
		return fmt.Errorf("look at %s on %s: %w", e.Name, e.In.Name, err)
	}, s.readLink}}
	for _, prefix := range e.Addresses {
		// In IPv4 an address is the host's at once.
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
	r := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	message := &nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET6, Dst_len: uint8(address.BitLen()),
		// The route as it is in the table (Linux 4.13): otherwise the kernel chooses a source
		// for it, among all addresses of all devices.
		Flags: unix.RTM_F_FIB_MATCH}}
	r.AddData(message)
	r.AddData(nl.NewRtAttr(unix.RTA_DST, address.AsSlice()))
	const typeOffset = 7 // rtm_type of struct rtmsg
	return request{r, func(error) error { return nil }, func(body []byte) {
		s.Addressed = len(body) > typeOffset && body[typeOffset] == unix.RTN_LOCAL
	}}
}

// SetNeighbour says at which hardware address a neighbour is. A fixed entry is neither
// checked nor overruled by what neighbours say; the kernel drops it when the end goes down
// (neigh_ifdown). Requires CAP_NET_ADMIN.
func (e *End) SetNeighbour(address netip.Addr, at net.HardwareAddr, fixed bool) error {
	state := uint16(netlink.NUD_REACHABLE)
	if fixed {
		state = netlink.NUD_PERMANENT
	}
	r := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	r.AddData(&netlink.Ndmsg{Family: uint8(familyOf(address)), Index: uint32(e.Index), State: state})
	r.AddData(nl.NewRtAttr(netlink.NDA_DST, address.AsSlice()))
	r.AddData(nl.NewRtAttr(netlink.NDA_LLADDR, at))
	return e.In.route.execute(request{r, func(err error) error {
		// An MTU below 1280 bytes has taken IPv6 off the device.
		if address.Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV)) {
			return nil
		}
		return fmt.Errorf("set the neighbour %v of %s on %s: %w", address, e.Name, e.In.Name, err)
	}, nil})
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
