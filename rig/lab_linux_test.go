// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStarCarriesTrafficAtOnce(t *testing.T) {
	t.Parallel()
	for _, family := range Families {
		t.Run(family.String(), func(t *testing.T) {
			lab := New(t)
			server, clients := lab.NewStar("server", "client", 4)
			listener, err := server.Listen(t.Context(), netip.AddrPortFrom(family.Wildcard(), 7000))
			require.NoError(t, err)
			defer listener.Close()
			target := netip.AddrPortFrom(server.MustAddr(family), 7000)
			for _, client := range clients {
				conn, accepted := connect(t, client, target, listener)
				remote := netip.MustParseAddrPort(accepted.RemoteAddr().String())
				assert.Equal(t, client, lab.Owner(remote.Addr()), remote)
				require.NoError(t, accepted.Close())
				require.NoError(t, conn.Close())
			}
			// A SYN that was dropped because a link was not ready is sent again
			// after a second: none was.
			counters, err := server.Sockets()
			require.NoError(t, err)
			for _, s := range counters {
				assert.Zero(t, s.Retransmits, s)
			}
		})
	}
}

// connect returns both ends of a new connection.
func connect(tb testing.TB, client *Host, target netip.AddrPort, listener net.Listener) (dialed, accepted net.Conn) {
	tb.Helper()
	dialed, err := client.Dial(tb.Context(), target)
	require.NoError(tb, err)
	accepted, err = listener.Accept()
	require.NoError(tb, err)
	return dialed, accepted
}

func TestAddressesFollowFromTheOrder(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b, c := lab.NewHost("a"), lab.NewHost("b"), lab.NewHost("c")
	first, second, third := lab.NewLink(a, b), lab.NewLink(b, c), lab.NewLink(a, b)
	for _, test := range []struct {
		link   *Link
		host   *Host
		v4, v6 string
	}{
		{first, a, "10.0.1.1", "fd00:0:0:1::1"}, {first, b, "10.0.1.2", "fd00:0:0:1::2"},
		{second, b, "10.0.2.1", "fd00:0:0:2::1"}, {second, c, "10.0.2.2", "fd00:0:0:2::2"},
		{third, a, "10.0.3.1", "fd00:0:0:3::1"}, {third, b, "10.0.3.2", "fd00:0:0:3::2"},
	} {
		assert.Equal(t, test.v4, test.link.Addr(test.host, IPv4).String())
		assert.Equal(t, test.v6, test.link.Addr(test.host, IPv6).String())
		assert.Equal(t, test.host, lab.Owner(netip.MustParseAddr(test.v6)))
	}
	assert.False(t, first.Addr(c, IPv4).IsValid(), "the link does not reach c")
	assert.Equal(t, "10.0.1.2", b.MustAddr(IPv4).String(), "a host is known by its first link")
	assert.Nil(t, lab.Owner(netip.MustParseAddr("10.9.9.9")))
}

func TestLabMisuseNamesTheThingAndTheRemedy(t *testing.T) {
	t.Parallel()
	lab, other := New(t), New(t)
	a, foreign := lab.NewHost("a"), other.NewHost("x")
	closed := New(t)
	late := closed.NewHost("late")
	require.NoError(t, closed.close())
	for name, test := range map[string]struct {
		do   func() error
		want string
	}{
		"name twice":      {func() error { _, err := lab.addHost("a"); return err }, "make host a: the lab already has a host of that name: choose another"},
		"no name":         {func() error { _, err := lab.addHost(""); return err }, "give each host a name"},
		"odd name":        {func() error { _, err := lab.addHost("a\n"); return err }, "cannot be printed"},
		"no family":       {func() error { _, err := a.Addr(Family(7)); return err }, "there is no family 7"},
		"no function":     {func() error { return a.Do(nil) }, "the function is nil"},
		"link to itself":  {func() error { _, err := lab.addLink(a, a, false); return err }, "link a and a: a link needs two hosts"},
		"link to nil":     {func() error { _, err := lab.addLink(a, nil, false); return err }, "make both hosts first"},
		"foreign link":    {func() error { _, err := lab.addLink(a, foreign, false); return err }, "belongs to another lab"},
		"no link":         {func() error { _, err := a.Addr(IPv4); return err }, "the host has no link: make one first"},
		"closed host":     {func() error { _, err := closed.addHost("b"); return err }, "make host b: the lab is closed"},
		"closed link":     {func() error { _, err := closed.addLink(late, late, false); return err }, "link late and late: the lab is closed"},
		"closed start":    {func() error { _, err := late.Start(Exec("true")); return err }, "start true on late: the lab is closed"},
		"closed sockets":  {func() error { _, err := late.Sockets(); return err }, "list sockets of late: the lab is closed"},
		"closed do":       {func() error { return late.Do(func() error { return nil }) }, "enter host late: the lab is closed"},
		"global sysctl":   {func() error { _, err := a.Sysctl("kernel.pid_max"); return err }, "only parameters below net are a host's own"},
		"sysctl path":     {func() error { return a.SetSysctl("net.../../kernel", "1") }, "only parameters below net"},
		"unknown sysctl":  {func() error { _, err := a.Sysctl("net.ipv4.nonsense"); return err }, "this kernel has no such parameter"},
		"storm of none":   {func() error { _, err := lab.StartStorm(Storm{}); return err }, "the storm has no signals"},
		"FailNow in Do":   {func() error { return a.Do(func() error { runtime.Goexit(); return nil }) }, "ended its goroutine"},
		"error inside Do": {func() error { return a.Do(func() error { return errors.New("mine") }) }, "on host a: mine"},
	} {
		assert.ErrorContains(t, test.do(), test.want, name)
	}
}

// TestPanicInDoIsTheCallers gives a panic to the goroutine that called Do.
func TestPanicInDoIsTheCallers(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	assert.PanicsWithValue(t, "mine", func() { _ = host.Do(func() error { panic("mine") }) })
}

// TestDeadlinesScaleWithinReason refuses factors that would make every wait
// expire at once.
func TestDeadlinesScaleWithinReason(t *testing.T) {
	for text, want := range map[string]time.Duration{"": time.Second, "1.5": 1500 * time.Millisecond, "abc": 0, "-5": 0, "NaN": 0, "Inf": 0, "1e300": 0} {
		t.Setenv(TimeScaleEnv, text)
		if want != 0 {
			assert.InDelta(t, float64(want)*here.Factor(), float64(scaled(time.Second)), 1, text)
			continue
		}
		trial := Try(t, func(tb testing.TB) { New(tb) })
		assert.Contains(t, trial.Log, fmt.Sprintf("FORKRIG_TIME_SCALE=%q is not a factor", text))
	}
}

func TestRepeatCommandSelectsTheTest(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `^TestN$/^a\+b_\(it's\)$`, runPattern("TestN/a+b_(it's)"))
	assert.Equal(t, `'a'\''b'`, shellQuoted("a'b"))
}

func TestSysctlsAreAHostsOwn(t *testing.T) {
	t.Parallel()
	lab := New(t)
	a, b := lab.NewHost("a"), lab.NewHost("b")
	const name = "net.ipv4.tcp_max_tw_buckets"
	before, err := b.Sysctl(name)
	require.NoError(t, err)
	require.NoError(t, a.SetSysctl(name, "7"))
	value, err := a.Sysctl(name)
	require.NoError(t, err)
	assert.Equal(t, "7", value)
	after, err := b.Sysctl(name)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	assert.Error(t, a.SetSysctl(name, "nonsense"))
}

// TestLinkDownBitesAndUpHeals sends a byte while the link is down: the kernel
// repeats it (the fault bites), and once the link is up again it arrives.
func TestLinkDownBitesAndUpHeals(t *testing.T) {
	t.Parallel()
	for _, family := range Families {
		t.Run(family.String(), func(t *testing.T) {
			t.Parallel()
			lab := New(t)
			server, client := lab.NewHost("server"), lab.NewHost("client")
			link := lab.NewLink(server, client)
			target := netip.AddrPortFrom(server.MustAddr(family), 7000)
			listener, err := server.Listen(t.Context(), target)
			require.NoError(t, err)
			defer listener.Close()
			dialed, accepted := connect(t, client, target, listener)
			defer dialed.Close()
			defer accepted.Close()

			require.NoError(t, link.Down())
			_, err = dialed.Write([]byte("x"))
			require.NoError(t, err)
			_, err = client.AwaitSockets(t.Context(), "a byte that stays unanswered", func(s Sockets) bool {
				established := s.In(Established)
				return len(established) == 1 && established[0].SendQueue == 1 && established[0].Retransmits > 0
			})
			require.NoError(t, err)

			require.NoError(t, link.Up(t.Context()))
			require.NoError(t, accepted.SetReadDeadline(time.Now().Add(patience)))
			received := make([]byte, 1)
			_, err = io.ReadFull(accepted, received)
			require.NoError(t, err)
			assert.Equal(t, "x", string(received))
		})
	}
}

// TestLabEndNamesWhatWasLeft runs tests that leave something behind, and looks
// at what the end of their lab says.
func TestLabEndNamesWhatWasLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		f    func(tb testing.TB, lab *Lab)
		want string // "" means that the lab must end in silence
	}{
		"nothing": {func(tb testing.TB, lab *Lab) { startReady(tb, lab.NewHost("h"), stoppable("counting")) }, ""},
		"zombies": {func(tb testing.TB, lab *Lab) { startReady(tb, lab.NewHost("h"), stoppable("littering")) },
			"leaves 2 zombies that it does not reap"},
		"a process that ignores its stop": {func(tb testing.TB, lab *Lab) {
			c := Program("stubborn")
			c.Grace = time.Millisecond
			startReady(tb, lab.NewHost("h"), c)
		}, "stop h/stubborn"},
		"an orphan": {func(tb testing.TB, lab *Lab) { startReady(tb, lab.NewHost("h"), Program("orphaning")) },
			"host h: 1 processes outlived the stop of what started them"},
		"a frozen process": {func(tb testing.TB, lab *Lab) {
			p := startReady(tb, lab.NewHost("h"), stoppable("counting"))
			require.NoError(tb, p.Freeze(tb.Context()))
		}, ""},
		"a listener": {func(tb testing.TB, lab *Lab) {
			listener, err := lab.NewHost("h").Listen(tb.Context(), netip.MustParseAddrPort("127.0.0.1:7000"))
			require.NoError(tb, err)
			t.Cleanup(func() { listener.Close() })
		}, "host h: the test left 1 sockets open: LISTEN 127.0.0.1:7000"},
		"a namespace": {func(tb testing.TB, lab *Lab) {
			require.NoError(tb, lab.NewHost("h").Do(func() error {
				file, err := os.Open("/proc/thread-self/ns/net")
				t.Cleanup(func() { file.Close() })
				return err
			}))
		}, "host h: its network namespace is still held by descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trial := Try(t, func(tb testing.TB) { test.f(tb, New(tb)) })
			assert.Equal(t, test.want != "", trial.Failed, trial.Log)
			assert.Contains(t, trial.Log, test.want)
			if trial.Failed {
				assert.Contains(t, trial.Log, "journal:")
				assert.Regexp(t, `repeat with: (sudo )?FORKRIG_SEED=\d+ go test forkrig/rig -run `, trial.Log)
			}
		})
	}
}

// stoppable is a helper program that an ordinary SIGINT ends.
func stoppable(name string) Command {
	c := Program(name)
	c.Stdin = true
	return c
}

// TestOrphanedConnectionsDoNotHoldTheNamespace ends a lab whose connections
// cannot finish, because their link is down.
func TestOrphanedConnectionsDoNotHoldTheNamespace(t *testing.T) {
	t.Parallel()
	needsSockDestroy(t)
	lab := New(t)
	server, client := lab.NewHost("server"), lab.NewHost("client")
	link := lab.NewLink(server, client)
	target := netip.AddrPortFrom(server.MustAddr(IPv6), 7000)
	listener, err := server.Listen(t.Context(), target)
	require.NoError(t, err)
	dialed, accepted := connect(t, client, target, listener)
	require.NoError(t, link.Down())
	require.NoError(t, dialed.Close())
	require.NoError(t, accepted.Close())
	require.NoError(t, listener.Close())
	// A process that another test is starting holds every descriptor until it
	// executes its program, so the close may take a moment.
	_, err = client.AwaitSockets(t.Context(), "an orphaned connection", func(s Sockets) bool {
		return len(s.In(FinWait1)) == 1 && s.In(FinWait1)[0].Inode == 0
	})
	require.NoError(t, err)
	_, err = client.ns.DestroyOrphans()
	require.NoError(t, err)
	// Before Linux 6.11 it ends by its timer.
	_, err = client.AwaitSockets(t.Context(), "no socket", func(s Sockets) bool { return len(s) == 0 })
	require.NoError(t, err)
}

func TestAwaitSaysWhatItSawLast(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := Await(ctx, "the moon", func() (bool, string, error) { return false, "a cloud", nil })
	require.ErrorIs(t, err, ErrNotObserved)
	assert.ErrorContains(t, err, "await the moon: not observed within")
	assert.ErrorContains(t, err, "last seen: a cloud")
	looked := errors.New("eyes shut")
	assert.ErrorIs(t, Await(t.Context(), "the moon", func() (bool, string, error) { return false, "", looked }), looked)
}

// TestAwaitLooksOnceMoreAfterItsDeadline: what came between the last look and the
// deadline, while a busy machine gave nobody a processor, was seen in time.
func TestAwaitLooksOnceMoreAfterItsDeadline(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	looks := 0
	err := Await(ctx, "the deadline", func() (bool, string, error) {
		looks++
		if looks == 1 {
			<-ctx.Done() // this look takes too long
			return false, "", nil
		}
		return true, "", nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, looks)
	cancelled, cancel := context.WithCancel(t.Context())
	looks = 0
	require.ErrorIs(t, Await(cancelled, "nothing", func() (bool, string, error) { looks++; cancel(); return false, "", nil }), ErrNotObserved)
	assert.LessOrEqual(t, looks, 2, "nobody waits any more")
}

func TestTryKeepsFailuresToItself(t *testing.T) {
	t.Parallel()
	var order bytes.Buffer
	trial := Try(t, func(tb testing.TB) {
		tb.Cleanup(func() { order.WriteString("first ") })
		tb.Cleanup(func() { order.WriteString("last "); tb.Log("in cleanup") })
		tb.Errorf("one %d", 1)
		tb.Fatal("two")
		tb.Error("never")
	})
	assert.True(t, trial.Failed)
	assert.Equal(t, "one 1\ntwo\nin cleanup\n", trial.Log)
	assert.Equal(t, "last first ", order.String())
	assert.True(t, Try(t, func(tb testing.TB) { tb.Skip("no") }).Skipped)
	assert.True(t, Try(t, func(testing.TB) { panic("x") }).Failed)
	assert.Equal(t, Outcome{}, Try(t, func(testing.TB) {}))
}

func TestMissingFeatures(t *testing.T) {
	missing := &MissingError{Feature: FeatureIPv6, Remedy: "buy a kernel"}
	for require, want := range map[string]Outcome{
		"":            {Skipped: true, Missing: missing},
		"users":       {Skipped: true, Missing: missing},
		"users, ipv6": {Failed: true},
		"all":         {Failed: true},
	} {
		t.Setenv(RequireEnv, require)
		trial := Try(t, func(tb testing.TB) { SkipIfMissing(tb, missing) })
		assert.Contains(t, trial.Log, "this machine lacks ipv6: buy a kernel")
		trial.Log = ""
		assert.Equal(t, want, trial, require)
	}
	assert.True(t, Try(t, func(tb testing.TB) { SkipIfMissing(tb, errors.New("other")) }).Failed)
	assert.Equal(t, Outcome{}, Try(t, func(tb testing.TB) { SkipIfMissing(tb, nil) }))
}

func TestSeedDeterminesRandomness(t *testing.T) {
	t.Setenv(SeedEnv, "42")
	a, b := New(t), New(t)
	assert.Equal(t, uint64(42), a.Seed)
	assert.Equal(t, a.Rand("x").Uint64(), b.Rand("x").Uint64())
	assert.NotEqual(t, a.Rand("x").Uint64(), a.Rand("y").Uint64())
	t.Setenv(SeedEnv, "forty-two")
	trial := Try(t, func(tb testing.TB) { New(tb) })
	assert.Contains(t, trial.Log, `FORKRIG_SEED="forty-two" is not a seed`)
}

// needsSockDestroy skips the test where the kernel closes no foreign socket, or fails it
// where that is required.
func needsSockDestroy(t *testing.T) {
	t.Helper()
	host := New(t).NewHost("probe")
	listener, err := host.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:7000"))
	require.NoError(t, err)
	defer listener.Close()
	var missing *MissingError
	if err := host.Destroy(func(Socket) bool { return true }); errors.As(err, &missing) {
		SkipIfMissing(t, err) // any other error comes from a kernel that knows the request
	}
}
