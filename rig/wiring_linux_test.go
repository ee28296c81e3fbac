// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"forkrig/rig/observe"
)

// TestWiring: who is linked with whom.
func TestWiring(t *testing.T) {
	lab := New(t)
	server, clients := lab.NewStar("server", "client", 2)
	links := server.Links()
	require.Len(t, links, 2)
	assert.Equal(t, links[1:], clients[1].Links())
	assert.Equal(t, [2]*Host{server, clients[1]}, links[1].Hosts())
	assert.Same(t, clients[1], links[1].Peer(server))
	assert.Nil(t, links[1].Peer(clients[0]))
	assert.Equal(t, "eth1", links[1].Device(server))
	assert.Empty(t, links[1].Device(clients[0]))
	assert.Contains(t, server.Addrs(), netip.MustParseAddr("10.0.2.1"))
	assert.Same(t, lab, server.Lab())
	assert.Same(t, lab, links[0].Lab())
}

// TestUnpluggedHostIsPluggedInAgain: with the routes of both sides, and beside a
// host that stays unplugged.
func TestUnpluggedHostIsPluggedInAgain(t *testing.T) {
	lab := New(t)
	server, clients := lab.NewStar("server", "client", 2)
	require.NoError(t, clients[0].Unplug())
	require.NoError(t, clients[1].Unplug())
	require.NoError(t, server.Unplug())
	require.NoError(t, server.Plug(t.Context()))
	require.NoError(t, clients[1].Plug(t.Context()))
	for _, family := range Families {
		address := netip.AddrPortFrom(server.MustAddr(family), 7) // which is that of another link
		listener, err := server.Listen(t.Context(), address)
		require.NoError(t, err)
		defer listener.Close()
		conn, err := clients[1].Dial(t.Context(), address)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		_, err = clients[0].Dial(t.Context(), address)
		assert.ErrorContains(t, err, "unreachable")
	}
}

// TestLinkBesideAnInterfaceMadeByHand: its number is not one that a link needs.
func TestLinkBesideAnInterfaceMadeByHand(t *testing.T) {
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	make := func(name string) {
		require.NoError(t, a.Do(func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "peer"})
		}))
	}
	make("before")
	link := lab.NewLink(a, b)
	make("after")
	second := lab.NewLink(a, b)
	assert.Equal(t, []string{"eth0", "eth1"}, []string{link.Device(a), second.Device(a)})
}

// TestStarThatFailsLeavesNothing: neither the namespaces of its hosts nor those that were
// made ahead.
func TestStarThatFailsLeavesNothing(t *testing.T) {
	own := observe.ReadNamespace("/proc/thread-self/ns/net")
	others := func() (n int) {
		for _, inode := range heldNamespaces() {
			if inode != own {
				n++
			}
		}
		return n
	}
	before := others()
	trial := Try(t, func(tb testing.TB) {
		lab := New(tb)
		lab.NewHost("leaf2")
		lab.NewStar("center", "leaf", 6)
	})
	assert.Contains(t, trial.Log, "make host leaf2: the lab already has a host of that name")
	assert.Equal(t, before, others())
}

// TestClaim: one at a time.
func TestClaim(t *testing.T) {
	lab := New(t)
	release, err := lab.Claim("the weather")
	require.NoError(t, err)
	_, err = lab.Claim("the weather")
	require.ErrorContains(t, err, "the weather is changed already by a fault")
	release()
	release, err = lab.Claim("the weather")
	require.NoError(t, err)
	release()
}

// TestDetourOutlastsALinkThatGoesDown reads what the kernel will send to.
func TestDetourOutlastsALinkThatGoesDown(t *testing.T) {
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	link := lab.NewLink(a, b)
	detour, err := link.Detour(a)
	require.NoError(t, err)
	_, err = link.Detour(a)
	require.ErrorContains(t, err, "the link has a detour in this direction")
	back, err := link.Detour(b)
	require.NoError(t, err)
	require.NoError(t, back.End())

	leadsTo := func(family Family) (string, int) {
		var neighbours []netlink.Neigh
		require.NoError(t, a.Do(func() (err error) {
			neighbours, err = netlink.NeighList(link.ends[0].Index, 0)
			return err
		}))
		for _, n := range neighbours {
			if n.IP.String() == link.Addr(b, family).String() {
				return n.HardwareAddr.String(), n.State
			}
		}
		return "nowhere", 0
	}
	for range 2 {
		for _, family := range Families {
			at, state := leadsTo(family)
			assert.Equal(t, detour.Unassigned.String(), at, family)
			assert.Equal(t, netlink.NUD_PERMANENT, state, family)
		}
		require.NoError(t, link.Down())
		require.NoError(t, link.Up(t.Context()))
	}
	require.NoError(t, detour.End())
	at, _ := leadsTo(IPv4)
	assert.Equal(t, detour.Assigned.String(), at)
}

// TestCounters: they are the host's own.
func TestCounters(t *testing.T) {
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	lab.NewLink(a, b)
	before, err := a.Counters()
	require.NoError(t, err)
	other, err := b.Counters()
	require.NoError(t, err)
	_, err = a.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:7"))
	require.Error(t, err)
	after, err := a.Counters()
	require.NoError(t, err)
	assert.EqualValues(t, 1, after.Since(before)["TcpActiveOpens"])
	assert.EqualValues(t, 1, after.Since(before)["TcpOutRsts"])
	later, err := b.Counters()
	require.NoError(t, err)
	assert.Zero(t, later.Since(other)["TcpActiveOpens"])
}

// TestRequiredFeatures: a minus takes one out.
func TestRequiredFeatures(t *testing.T) {
	for text, want := range map[string][2]bool{ // netem, tbf
		"":           {false, false},
		"all":        {true, true},
		"all,-netem": {false, true},
		"-netem,all": {false, true},
		"netem, tbf": {true, true},
		"tbf":        {false, true},
	} {
		t.Setenv(RequireEnv, text)
		assert.Equal(t, want, [2]bool{required(FeatureNetem), required(FeatureTBF)}, text)
	}
}
