package rig

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkHost measures a star of one server and n clients, in milliseconds
// per host, three ways in one run: by the rig, by the fewest raw netlink
// messages that give usable links (the floor), and by ip(8) commands.
func BenchmarkHost(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		b.Run(fmt.Sprintf("rig/hosts=%d", n), func(b *testing.B) { benchmarkHosts(b, n, rigStar) })
		b.Run(fmt.Sprintf("floor/hosts=%d", n), func(b *testing.B) { benchmarkHosts(b, n, floorStar) })
	}
	for _, n := range []int{3, 10, 100} {
		b.Run(fmt.Sprintf("ip/hosts=%d", n), func(b *testing.B) { benchmarkHosts(b, n, ipStar) })
	}
}

// benchmarkHosts measures build, and leaves out what ends the star again.
func benchmarkHosts(b *testing.B, hosts int, build func(b *testing.B, clients int) (end func())) {
	for range b.N {
		end := build(b, hosts-1)
		b.StopTimer()
		end()
		b.StartTimer()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*hosts), "ms/host")
	b.ReportMetric(0, "ns/op")
}

func rigStar(b *testing.B, clients int) func() {
	lab := New(b)
	lab.NewStar("server", "client", clients)
	return func() { require.NoError(b, lab.close()) }
}

// floorStar does what a star needs and no more, with no library: per client a
// namespace, a veth pair, an IPv4 and an IPv6 address, and three links up.
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
		v4, v6 := linkPrefix(IPv4, i+1, 2), linkPrefix(IPv6, i+1, 2)
		netlinkAddress(b, client, unix.AF_INET, 24, 0, v4.Addr().AsSlice())
		netlinkAddress(b, client, unix.AF_INET6, 64, unix.IFA_F_NODAD, v6.Addr().AsSlice())
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

func netlinkAddress(b *testing.B, route int, family, bits, flags byte, address []byte) {
	body := []byte{family, bits, flags, 0}
	body = binary.NativeEndian.AppendUint32(body, 2)
	body = append(body, attribute(unix.IFA_LOCAL, address)...)
	netlinkDo(b, route, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body)
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
		ip(fmt.Sprintf("-n client%d address add %v dev eth0", i, linkPrefix(IPv4, i+1, 2)))
		ip(fmt.Sprintf("-n client%d address add %v dev eth0 nodad", i, linkPrefix(IPv6, i+1, 2)))
	}
	return func() {
		for i := range clients {
			ip(fmt.Sprintf("netns delete client%d", i))
		}
		ip("netns delete server")
		require.NoError(b, unix.Unmount("/run", unix.MNT_DETACH))
	}
}
