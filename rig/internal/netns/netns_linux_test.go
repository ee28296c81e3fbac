// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"forkrig/rig/observe"
)

// newNamespace makes a namespace that ends with the test.
func newNamespace(t *testing.T, name string) *Namespace {
	t.Helper()
	ns, err := New(name)
	require.NoError(t, err)
	t.Cleanup(ns.Close)
	return ns
}

// TestDo: f runs in the namespace, and its thread returns from there however f ends.
func TestDo(t *testing.T) {
	ns := newNamespace(t, "host")
	here := observe.ReadNamespace("/proc/thread-self/ns/net")
	require.NoError(t, ns.Do(func() error {
		assert.Equal(t, ns.Inode, observe.ReadNamespace("/proc/thread-self/ns/net"))
		loopback, err := net.InterfaceByIndex(1)
		assert.NoError(t, err)
		assert.NotZero(t, loopback.Flags&net.FlagUp)
		return nil
	}))
	failed := errors.New("failed")
	require.ErrorIs(t, ns.Do(func() error { return failed }), failed)
	require.ErrorIs(t, ns.Do(func() error { runtime.Goexit(); return nil }), errGoexit)
	assert.PanicsWithValue(t, "panic", func() { _ = ns.Do(func() error { panic("panic") }) })
	require.ErrorContains(t, (&Namespace{fd: -1}).Do(nil), "enter a network namespace: setns: bad file descriptor")
	for range 100 { // on whatever thread
		thread := make(chan uint64)
		go func() { thread <- observe.ReadNamespace("/proc/thread-self/ns/net") }()
		assert.Equal(t, here, <-thread)
	}
}

// TestOpen: what is opened is the namespace of the descriptor, and outlives it.
func TestOpen(t *testing.T) {
	ns, err := New("first")
	require.NoError(t, err)
	same, err := Open("same", ns.FD())
	require.NoError(t, err)
	defer same.Close()
	assert.Equal(t, ns.Inode, same.Inode)
	ns.Close()
	sockets, err := same.Sockets()
	require.NoError(t, err)
	assert.Empty(t, sockets)
	_, err = Open("closed", -1)
	require.ErrorContains(t, err, "bad file descriptor")
}

// newPair makes two namespaces and the ends of a pair between them, of which b routes by
// default through a.
func newPair(t *testing.T) (a, b *End) {
	a = &End{In: newNamespace(t, "a"), Name: "eth7", Index: 107, Addresses: []netip.Prefix{
		netip.MustParsePrefix("10.0.1.1/24"), netip.MustParsePrefix("fd00::1/64")}}
	b = &End{In: newNamespace(t, "b"), Name: "eth0", Index: 101, Addresses: []netip.Prefix{
		netip.MustParsePrefix("10.0.1.2/24"), netip.MustParsePrefix("fd00::2/64")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("fd00::1")}}
	return a, b
}

// awaitReady waits until the end can send and receive.
func awaitReady(t *testing.T, e *End) State {
	t.Helper()
	return awaitState(t, e, func(s State) bool { return s.Carrier && s.Addressed })
}

func awaitState(t *testing.T, e *End, reached func(State) bool) State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		state, err := e.State()
		require.NoError(t, err)
		if reached(state) {
			return state
		}
		require.NoError(t, ctx.Err(), state)
		runtime.Gosched()
	}
}

func TestJoin(t *testing.T) {
	a, b := newPair(t)
	require.NoError(t, Join(a, b))
	for range 2 {
		for _, e := range []*End{a, b} {
			state := awaitReady(t, e)
			assert.True(t, state.Up)
			require.NoError(t, e.In.Do(func() error {
				device, err := net.InterfaceByName(e.Name)
				require.NoError(t, err)
				assert.Equal(t, e.Index, device.Index)
				assert.Equal(t, device.HardwareAddr, state.HardwareAddr)
				addresses, err := device.Addrs()
				require.NoError(t, err)
				for _, prefix := range e.Addresses {
					assert.Contains(t, fmt.Sprint(addresses), prefix.String())
				}
				return nil
			}))
		}
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			assert.Equal(t, a.Addresses[map[int]int{netlink.FAMILY_V4: 0, netlink.FAMILY_V6: 1}[family]].Addr().String(), defaultGateway(t, b.In, family))
		}
		require.NoError(t, a.Up(), "nothing is changed by repeating it")
		require.NoError(t, a.Down())
		state, err := a.State()
		require.NoError(t, err)
		assert.Equal(t, State{HardwareAddr: state.HardwareAddr}, state)
		assert.True(t, awaitState(t, b, func(s State) bool { return !s.Carrier }).Up)
		require.NoError(t, b.Down())
		require.NoError(t, b.Up())
		require.NoError(t, a.Up())
	}
}

func defaultGateway(t *testing.T, ns *Namespace, family int) (gateway string) {
	t.Helper()
	require.NoError(t, ns.Do(func() error {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
		require.Len(t, routes, 1)
		gateway = routes[0].Gw.String()
		return err
	}))
	return gateway
}

// TestErrorsNameNamespaceAndEnd: also those of requests that were sent together.
func TestErrorsNameNamespaceAndEnd(t *testing.T) {
	a, b := newPair(t)
	require.NoError(t, Join(a, b))
	require.ErrorContains(t, Join(a, b), "create a veth pair: file exists")
	b.Gateways = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	require.EqualError(t, b.Up(), "route b by default through 192.0.2.1: network is unreachable")
	a.Addresses = []netip.Prefix{netip.MustParsePrefix("ff02::1/64"), netip.MustParsePrefix("10.0.9.1/24")}
	require.EqualError(t, a.Address(), "give eth7 on a the address ff02::1/64: cannot assign requested address")
	assert.Equal(t, "10.0.9.1", addressOf(t, a), "the other requests are carried out")
	a.Index = 9
	require.EqualError(t, a.Up(), "bring eth7 on a up: no such device")
	require.EqualError(t, a.Down(), "take eth7 on a down: no such device")
	_, err := a.State()
	require.EqualError(t, err, "look at eth7 on a: no such device")
	require.ErrorContains(t, a.SetNeighbour(netip.MustParseAddr("10.0.1.2"), net.HardwareAddr{2, 0, 0, 0, 0, 1}, true),
		"set the neighbour 10.0.1.2 of eth7 on a: no such device")
	a.In.Close()
	require.ErrorContains(t, a.Up(), "sendto: bad file descriptor")
}

// addressOf returns the IPv4 address of the end that was given last.
func addressOf(t *testing.T, e *End) (last string) {
	t.Helper()
	require.NoError(t, e.In.Do(func() error {
		device, err := net.InterfaceByName(e.Name)
		require.NoError(t, err)
		addresses, err := device.Addrs()
		for _, address := range addresses {
			if ip := address.(*net.IPNet).IP; ip.To4() != nil {
				last = ip.String()
			}
		}
		return err
	}))
	return last
}

// TestKernelWithoutIPv6: where it refuses an address of IPv6, IPv4 works.
func TestKernelWithoutIPv6(t *testing.T) {
	a, b := newPair(t)
	require.NoError(t, b.In.Do(func() error {
		for _, which := range []string{"all", "default"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, Join(a, b))
	require.NoError(t, a.In.IPv6Err())
	require.ErrorIs(t, b.In.IPv6Err(), unix.EACCES)
	awaitReady(t, b)
	assert.Equal(t, "10.0.1.1", defaultGateway(t, b.In, netlink.FAMILY_V4))
}

// TestKernelWithoutVethIsNamed: by its remedy.
func TestKernelWithoutVethIsNamed(t *testing.T) {
	assert.ErrorContains(t, explainVethError(unix.EOPNOTSUPP), "modprobe veth")
	assert.ErrorIs(t, explainVethError(unix.EPERM), unix.EPERM)
}

// TestDestroy: what is destroyed is what was meant, and its owner notices.
func TestDestroy(t *testing.T) {
	ns := newNamespace(t, "host")
	var listeners [2]net.Listener
	require.NoError(t, ns.Do(func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false) // the kernel destroys no listening socket of MPTCP
		for i, address := range []string{"127.0.0.1:7", "[::1]:8"} {
			if listeners[i], err = config.Listen(t.Context(), "tcp", address); err != nil {
				return err
			}
		}
		return nil
	}))
	defer listeners[0].Close()
	owned, err := ns.DestroyOrphans()
	require.NoError(t, err)
	assert.Len(t, owned, 2)
	n, err := ns.Destroy(func(s observe.Socket) bool { return s.Local.Port() == 8 })
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("the kernel lacks CONFIG_INET_DIAG_DESTROY: %v", err)
	}
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	_, err = listeners[1].Accept()
	require.ErrorIs(t, err, unix.EINVAL)
	require.NoError(t, listeners[1].Close())
	sockets, err := ns.Sockets()
	require.NoError(t, err)
	require.Len(t, sockets, 1)
	assert.EqualValues(t, 7, sockets[0].Local.Port())
}

// FuzzReadLink: whatever the kernel says.
func FuzzReadLink(f *testing.F) {
	f.Add(make([]byte, unix.SizeofIfInfomsg))
	f.Add(append(make([]byte, unix.SizeofIfInfomsg), 5, 0, unix.IFLA_OPERSTATE, 0, 6, 0, 0, 0))
	f.Add(append(make([]byte, unix.SizeofIfInfomsg), 4, 0, unix.IFLA_OPERSTATE, 0, 3, 0, 0, 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s State
		s.readLink(body)
		if s.Carrier && len(body) <= unix.SizeofIfInfomsg {
			t.Errorf("%v from %d bytes", s, len(body))
		}
	})
}

// FuzzDiagRequest: a request of a fixed size that names the addresses of the row.
func FuzzDiagRequest(f *testing.F) {
	f.Add(uint8(unix.AF_INET), []byte{10, 0, 0, 1}, uint16(9999))
	f.Add(uint8(unix.AF_INET6), []byte("0123456789abcdef"), uint16(0))
	f.Add(uint8(unix.AF_INET), []byte{}, uint16(65535))
	f.Fuzz(func(t *testing.T, family uint8, ip []byte, port uint16) {
		row := &netlink.Socket{Family: family}
		row.ID.Source, row.ID.SourcePort, row.ID.Destination = ip, port, ip
		request := diagRequest{row}.Serialize()
		if len(request) != diagRequestLen || binary.BigEndian.Uint16(request[8:]) != port {
			t.Errorf("a request of %d bytes: %x", len(request), request)
		}
		if address, _ := netip.AddrFromSlice(ip); family == unix.AF_INET6 && len(ip) == 16 && address != netip.AddrFrom16([16]byte(request[12:28])) {
			t.Errorf("%v is asked for as %x", address, request[12:28])
		}
	})
}
