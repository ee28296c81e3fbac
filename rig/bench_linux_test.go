// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkHost measures a star of one server and n clients, in milliseconds per host,
// three ways in turn: by the rig, by the fewest raw netlink messages that give usable links
// (the floor), and by ip(8) commands. The ratios are the medians of those of each turn.
func BenchmarkHost(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			var rig, floor, ratios []float64
			for range b.N {
				rig = append(rig, timeHosts(b, n, rigStar))
				floor = append(floor, timeHosts(b, n, floorStar))
				ratios = append(ratios, rig[len(rig)-1]/floor[len(floor)-1])
			}
			b.ReportMetric(median(rig), "rig-ms/host")
			b.ReportMetric(median(floor), "floor-ms/host")
			b.ReportMetric(median(ratios), "rig/floor")
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, n := range []int{3, 10, 100} {
		b.Run(fmt.Sprintf("ip/hosts=%d", n), func(b *testing.B) {
			var ip []float64
			for range b.N {
				ip = append(ip, timeHosts(b, n, ipStar))
			}
			b.ReportMetric(median(ip), "ms/host")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// timeHosts returns how many milliseconds a host took, without what ends the star again. It
// waits until the kernel has ended it: that happens in the background, and would
// slow down whatever is measured next.
func timeHosts(b *testing.B, hosts int, build func(b *testing.B, clients int) (end func())) float64 {
	began := time.Now()
	end := build(b, hosts-1)
	took := time.Since(began)
	gone := canary(b)
	end()
	gone()
	return took.Seconds() * 1000 / float64(hosts)
}

// canary makes a namespace with a link to the sandbox's own. Namespaces end in
// the order in which they are let go, and their links with them, so gone lets
// go of this one and waits until its link is no more.
func canary(b *testing.B) (gone func()) {
	ns, err := newNamespace("canary")
	require.NoError(b, err)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "canary"
	require.NoError(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.FD())}))
	return func() {
		require.NoError(b, endNamespace(ns))
		require.NoError(b, Await(b.Context(), "the end of the namespaces", func() (bool, string, error) {
			_, err := netlink.LinkByName("canary")
			return errors.As(err, new(netlink.LinkNotFoundError)), fmt.Sprint(err), nil
		}))
	}
}

func rigStar(b *testing.B, clients int) func() {
	lab := New(b)
	lab.NewStar("server", "client", clients)
	return func() { require.NoError(b, lab.close()) }
}

// floorStar does what a star needs and no more, with no library: per client a
// namespace, a veth pair, an IPv4 and an IPv6 address at either end, three links
// up and two default routes.
func floorStar(b *testing.B, clients int) func() {
	var open []int
	newNamespace := func() (ns, route int) {
		require.NoError(b, unix.Unshare(unix.CLONE_NEWNET))
		ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		require.NoError(b, err)
		route, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		require.NoError(b, err)
		open = append(open, ns, route)
		return ns, route
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(b, err)
	open = append(open, own)
	_, server := newNamespace()
	netlinkUp(b, server, 1)
	for i := range clients {
		ns, client := newNamespace()
		netlinkUp(b, client, 1)
		netlinkVeth(b, server, fmt.Sprintf("eth%d", i), ns)
		netlinkUp(b, server, i+2)
		netlinkUp(b, client, 2)
		for end, route := range []int{server, client} {
			index := []int{i + 2, 2}[end]
			netlinkAddress(b, route, index, linkPrefix(IPv4, i+1, end+1))
			netlinkAddress(b, route, index, linkPrefix(IPv6, i+1, end+1))
		}
		netlinkDefaultRoute(b, client, linkPrefix(IPv4, i+1, 1))
		netlinkDefaultRoute(b, client, linkPrefix(IPv6, i+1, 1))
	}
	require.NoError(b, unix.Setns(own, unix.CLONE_NEWNET))
	return func() {
		for _, fd := range open {
			unix.Close(fd)
		}
	}
}

func netlinkUp(b *testing.B, route, index int) {
	netlinkDo(b, route, unix.RTM_NEWLINK, 0, interfaceMessage(index, unix.IFF_UP))
}

func netlinkVeth(b *testing.B, route int, name string, peerNamespace int) {
	const vethInfoPeer = 1
	peer := append(interfaceMessage(0, 0), attribute(unix.IFLA_IFNAME, []byte("eth0\x00"))...)
	peer = append(peer, attribute(unix.IFLA_NET_NS_FD, binary.NativeEndian.AppendUint32(nil, uint32(peerNamespace)))...)
	info := append(attribute(unix.IFLA_INFO_KIND, []byte("veth")),
		attribute(unix.IFLA_INFO_DATA, attribute(vethInfoPeer, peer))...)
	body := append(interfaceMessage(0, 0), attribute(unix.IFLA_IFNAME, append([]byte(name), 0))...)
	body = append(body, attribute(unix.IFLA_LINKINFO, info)...)
	netlinkDo(b, route, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

func netlinkAddress(b *testing.B, route, index int, prefix netip.Prefix) {
	family, flags := byte(unix.AF_INET), byte(0)
	if prefix.Addr().Is6() {
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	body := []byte{family, byte(prefix.Bits()), flags, 0}
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	body = append(body, attribute(unix.IFA_LOCAL, prefix.Addr().AsSlice())...)
	netlinkDo(b, route, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

func netlinkDefaultRoute(b *testing.B, route int, gateway netip.Prefix) {
	family := byte(unix.AF_INET)
	if gateway.Addr().Is6() {
		family = unix.AF_INET6
	}
	body := []byte{family, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	body = append(body, attribute(unix.RTA_GATEWAY, gateway.Addr().AsSlice())...)
	netlinkDo(b, route, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
}

func interfaceMessage(index int, up uint32) []byte {
	body := binary.NativeEndian.AppendUint32(make([]byte, 4), uint32(index))
	body = binary.NativeEndian.AppendUint32(body, up)
	return binary.NativeEndian.AppendUint32(body, up)
}

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// netlinkDo sends one request and reads its acknowledgement.
func netlinkDo(b *testing.B, route int, kind, flags uint16, body []byte) {
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	message = append(message, make([]byte, 8)...) // sequence number and port
	message = append(message, body...)
	require.NoError(b, unix.Sendto(route, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(route, answer, 0)
	require.NoError(b, err)
	require.GreaterOrEqual(b, n, unix.SizeofNlMsghdr+4)
	errno := -int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))
	require.Zero(b, errno, "netlink message %d: %v", kind, unix.Errno(errno))
}

// ipStar builds the same star with the commands that a shell script would use.
// It runs in the sandbox's mount namespace, where /run is a file system of its
// own while it does, so that the names are nobody else's.
func ipStar(b *testing.B, clients int) func() {
	if _, err := exec.LookPath("ip"); err != nil {
		b.Skip("ip(8) is not installed: apt-get install iproute2")
	}
	require.NoError(b, unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	ip := func(arguments string) {
		output, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput()
		require.NoError(b, err, "ip %s: %s", arguments, output)
	}
	ip("netns add server")
	ip("-n server link set lo up")
	for i := range clients {
		ip(fmt.Sprintf("netns add client%d", i))
		ip(fmt.Sprintf("-n client%d link set lo up", i))
		ip(fmt.Sprintf("-n server link add eth%d type veth peer name eth0 netns client%d", i, i))
		ip(fmt.Sprintf("-n server link set eth%d up", i))
		ip(fmt.Sprintf("-n client%d link set eth0 up", i))
		for end, device := range []string{fmt.Sprintf("-n server address add %%v dev eth%d", i), fmt.Sprintf("-n client%d address add %%v dev eth0", i)} {
			ip(fmt.Sprintf(device, linkPrefix(IPv4, i+1, end+1)))
			ip(fmt.Sprintf(device+" nodad", linkPrefix(IPv6, i+1, end+1)))
		}
		for _, family := range Families {
			ip(fmt.Sprintf("-n client%d route add default via %v", i, linkPrefix(family, i+1, 1).Addr()))
		}
	}
	return func() {
		for i := range clients {
			ip(fmt.Sprintf("netns delete client%d", i))
		}
		ip("netns delete server")
		require.NoError(b, unix.Unmount("/run", unix.MNT_DETACH))
	}
}
