// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHostSeesDaemonsAndTheirZombies: the processes of a host are those in its
// namespace, whoever their parent is, and their zombies.
func TestHostSeesDaemonsAndTheirZombies(t *testing.T) {
	t.Parallel()
	lab := New(t)
	host := lab.NewHost("h")
	c := Program("littering")
	c.Stdin = true
	p := host.MustStart(c)
	all, err := host.AwaitProcesses(t.Context(), "two zombies", func(l ProcessInfos) bool { return len(l.Zombies()) == 2 })
	require.NoError(t, err)
	assert.Len(t, all.Alive(), 1)
	zombies, err := host.AwaitReaped(t.Context())
	require.NoError(t, err)
	assert.Len(t, zombies, 2, "nobody reaps them")
	assert.GreaterOrEqual(t, zombies[0].ZombieFor, scaled(Settling))
	require.NoError(t, p.Stdin.Close())
	zombies, err = host.AwaitReaped(t.Context())
	require.NoError(t, err)
	assert.Empty(t, zombies)
}

// awaitGone waits until no process is left on the host.
func awaitGone(t *testing.T, host *Host) error {
	_, err := host.AwaitProcesses(t.Context(), "nobody", func(l ProcessInfos) bool { return len(l) == 0 })
	return err
}

// TestDaemonListens: a listener that left its parent is still what was started,
// and one that was there before is not.
func TestDaemonListens(t *testing.T) {
	t.Parallel()
	lab := New(t)
	host := lab.NewHost("h")
	address := netip.MustParseAddrPort("127.0.0.1:9000")
	daemon := host.MustStart(Program("daemon", address.String()))
	listener, err := host.AwaitListen(t.Context(), daemon, address.Port())
	require.NoError(t, err)
	assert.Equal(t, address, listener.Local)
	_, err = daemon.Wait(t.Context())
	require.NoError(t, err)

	second := host.MustStart(Program("daemon", address.String()))
	_, err = host.AwaitListen(t.Context(), second, address.Port())
	assert.ErrorContains(t, err, "without listening")
	killed, _, err := lab.KillTogether(t.Context(), host.Matching("everybody", nil))
	require.NoError(t, err)
	assert.Equal(t, 1, killed)
	require.NoError(t, awaitGone(t, host))
}

// TestRest tells a process that sleeps from one that works, and work that comes
// to something from work that does not.
func TestRest(t *testing.T) {
	t.Parallel()
	host := New(t).NewHost("h")
	sleeper := host.MustStart(Program("ignoring"))
	rest := host.WatchRest()
	var before time.Duration // what its start took after the first look
	require.NoError(t, Await(t.Context(), "rest", func() (bool, string, error) {
		quiet, idle, err := rest.Look()
		before = idle
		return quiet > 100*time.Millisecond, quiet.String(), err
	}))
	spinner := host.MustStart(Program("spinning"))
	require.NoError(t, Await(t.Context(), "work in vain", func() (bool, string, error) {
		quiet, idle, err := rest.Look()
		return quiet < 100*time.Millisecond && idle > before+200*time.Millisecond, idle.String(), err
	}))

	infos, err := host.Processes()
	require.NoError(t, err)
	for _, info := range infos {
		running, _, err := host.Scheduled(info)
		require.NoError(t, err)
		switch info.PID {
		case spinner.PID:
			require.NoError(t, Await(t.Context(), "a wish to run", func() (bool, string, error) {
				now, _, err := host.Scheduled(info)
				return now-running > 50*time.Millisecond, now.String(), err
			}))
		case sleeper.PID:
			woken, err := host.Wakeups(info)
			require.NoError(t, err)
			require.NoError(t, sleeper.Signal(syscall.SIGURG)) // every Go program catches it
			require.NoError(t, Await(t.Context(), "a wakeup", func() (bool, string, error) {
				now, err := host.Wakeups(info)
				return now > woken, "", err
			}))
		}
	}
	require.NoError(t, spinner.Kill(t.Context()))
	for _, info := range infos {
		if info.PID == spinner.PID {
			_, _, err = host.Scheduled(info)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	}
}

// TestSetLimit takes descriptors from a running process, and gives them back.
func TestSetLimit(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "65534"} {
		t.Run("user "+user, func(t *testing.T) {
			t.Parallel()
			lab := New(t)
			host := lab.NewHost("h")
			c := Program("opening")
			c.Stdin, c.User = true, user
			p := host.MustStart(c)
			info, err := p.Info()
			require.NoError(t, err)
			try := func(answer string) {
				t.Helper()
				_, err := p.Stdin.Write([]byte("open\n"))
				require.NoError(t, err)
				_, err = p.Stdout.AwaitLine(t.Context(), answer, func(l string) bool { return strings.Contains(l, answer) })
				require.NoError(t, err)
			}
			try("1 opened")
			restore, err := host.SetLimit(info, OpenFiles, 3)
			require.NoError(t, err)
			try("2 too many open files")
			require.NoError(t, restore())
			try("3 opened")
			require.NoError(t, p.Stdin.Close())
			_, err = p.Wait(t.Context())
			require.NoError(t, err)
			_, err = host.SetLimit(info, OpenFiles, 3)
			require.ErrorIs(t, err, os.ErrNotExist)
			require.NoError(t, restore(), "a process that has ended needs no limit back")
		})
	}
}

// TestDestroyAndUnplug closes a connection from outside, and then lets a host
// vanish.
func TestDestroyAndUnplug(t *testing.T) {
	t.Parallel()
	lab := New(t)
	server, clients := lab.NewStar("server", "client", 2)
	address := netip.AddrPortFrom(server.MustAddr(IPv4), 9000)
	p := server.MustStart(Program("listening", address.String()))
	_, err := server.AwaitListen(t.Context(), p, address.Port())
	require.NoError(t, err)

	conn, err := clients[0].Dial(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = p.Stdout.AwaitLine(t.Context(), "accepted", func(l string) bool { return l == "accepted 1" })
	require.NoError(t, err)
	SkipIfMissing(t, server.Destroy(func(s Socket) bool { return s.State == Established }))
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)

	require.NoError(t, clients[1].Unplug())
	_, err = clients[1].Dial(t.Context(), address)
	require.ErrorIs(t, err, syscall.ENETUNREACH)
	require.NoError(t, lab.links[1].Up(t.Context()))
	conn, err = clients[1].Dial(t.Context(), address)
	require.NoError(t, err)
	conn.Close()
}

// TestEndurance reads what a process has set on its connection.
func TestEndurance(t *testing.T) {
	t.Parallel()
	lab := New(t)
	host := lab.NewHost("h")
	address := netip.MustParseAddrPort("127.0.0.1:9000")
	p := host.MustStart(Program("listening", address.String())) // Go sets keep-alive
	_, err := host.AwaitListen(t.Context(), p, address.Port())
	require.NoError(t, err)
	conn, err := host.Dial(t.Context(), address)
	require.NoError(t, err)
	defer conn.Close()
	sockets, err := host.AwaitSockets(t.Context(), "the connection accepted", func(all Sockets) bool {
		here := all.On(address.Port()).In(Established)
		return len(here) == 1 && here[0].Inode != 0
	})
	require.NoError(t, err)
	info, err := p.Info()
	require.NoError(t, err)
	inode := sockets.On(address.Port()).In(Established)[0].Inode
	require.NoError(t, Await(t.Context(), "keep-alive", func() (bool, string, error) {
		endurance, err := host.Endurance(info, inode)
		return endurance.KeepAlive && endurance.Idle == 15*time.Second && endurance.Probes > 0 && endurance.ReceiveTimeout == 0, "", err
	}))
	_, err = host.Endurance(info, 1)
	require.ErrorIs(t, err, os.ErrNotExist)
}
