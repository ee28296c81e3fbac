package scenarios

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/rig"
)

// The project grew from two tutorials: a one-shot server that answers in upper
// case on port 6666, and an echo server on port 9999, each with its client. What
// a person did with them is told here.

// TestOneShotServerAndAPerson answers one line in upper case and closes.
func TestOneShotServerAndAPerson(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		loopback := map[rig.Family]string{rig.IPv4: "127.0.0.1", rig.IPv6: "::1"}[v.family]
		s.address = netip.AddrPortFrom(netip.MustParseAddr(loopback), 6666)
		srv := s.serve(t, "-service", "upper", "-once")

		client := s.client(t, s.host)
		say(t, client, "hello", "HELLO")
		ends(t, client, 3) // the server closed first

		netcat, err := exec.LookPath("nc")
		if err != nil {
			rig.SkipIfMissing(t, &rig.MissingError{Feature: "netcat", Err: err, Remedy: "apt-get install netcat-openbsd"})
		}
		c := rig.Exec(netcat, s.address.Addr().String(), "6666")
		c.Stdin = true
		person := s.host.MustStart(c)
		say(t, person, "and you?", "AND YOU?")
		require.NoError(t, person.Stdin.Close())
		ends(t, person, 0)
		assert.EqualValues(t, 2, srv.stop(t).Reaped)
	})
}

// TestOneShotServerListensWhereItAlwaysDid starts it without an address.
func TestOneShotServerListensWhereItAlwaysDid(t *testing.T) {
	t.Parallel()
	s := newStage(t, variant{rig.IPv4, "fork"}, 1)
	p := s.host.MustStart(rig.Program("server", "-service", "upper", "-once"))
	srv := s.listening(t, p, 6666)
	assert.Equal(t, "127.0.0.1:6666", srv.listener.Local.String())
	srv.stop(t)
}

// TestInteractiveClient sends what is typed and prints what comes back; the end
// of input half-closes, drains and ends with status 0.
func TestInteractiveClient(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		srv := s.serve(t)
		client := s.client(t, s.clients[0])
		say(t, client, "hello", "hello")
		say(t, client, "", "")
		_, err := client.Stdin.Write([]byte("no newline at the end"))
		require.NoError(t, err)
		require.NoError(t, client.Stdin.Close())
		ends(t, client, 0)
		require.NoError(t, client.Stdout.AwaitEnd(t.Context()))
		assert.Equal(t, []string{"hello", "", "no newline at the end"}, client.Stdout.Lines())
		everythingReaped(t, srv, 1)
	})
}

// TestEchoServerNamesPeersAndWorkers listens on every address, prints the
// address and port of each client and names each worker that it reaped.
func TestEchoServerNamesPeersAndWorkers(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 3)
		srv := s.serveAt(t, netip.AddrPortFrom(v.family.Wildcard(), port))
		for i, host := range s.clients {
			client := s.client(t, host)
			say(t, client, "I am "+host.Name, "I am "+host.Name)
			sockets, err := host.Sockets()
			require.NoError(t, err)
			mine := sockets.In(rig.Established)
			require.Len(t, mine, 1)
			accepted := srv.awaitEvent(t, "accepted", func(e event) bool { return e.Peer == mine[0].Local })
			workers, err := srv.Descendants()
			require.NoError(t, err)
			require.Len(t, workers, 1)
			assert.Equal(t, number(t, s.host, workers[0]), accepted.Worker, "the worker in the log is the one the kernel knows")

			require.NoError(t, client.Stdin.Close())
			ends(t, client, 0)
			reaped := srv.awaitEvent(t, "reaped", func(e event) bool { return e.Worker == accepted.Worker })
			require.NotNil(t, reaped.Status)
			assert.Zero(t, *reaped.Status)
			assert.Len(t, srv.events("reaped"), i+1)
		}
		srv.stop(t)
	})
}

// TestServerStartsWhereItAlwaysDid starts the echo server without an address.
func TestServerStartsWhereItAlwaysDid(t *testing.T) {
	t.Parallel()
	s := newStage(t, variant{rig.IPv4, "fork"}, 1)
	srv := s.listening(t, s.host.MustStart(rig.Program("server")), port)
	assert.Equal(t, "0.0.0.0:9999", srv.listener.Local.String())
	allServed(t, s.load(t, s.clients[0], 1))
	srv.stop(t)
}

// TestCountingClient sends one numbered message after the other, and ends when
// the server closes.
func TestCountingClient(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 2)
		srv := s.serve(t)
		finite := s.client(t, s.clients[0], "-count", "3", "-interval", "1ms")
		ends(t, finite, 0)
		require.NoError(t, finite.Stdout.AwaitEnd(t.Context()))
		assert.Equal(t, []string{"data : 0", "data : 1", "data : 2"}, finite.Stdout.Lines())

		// Nothing is on its way when the worker is killed: with a message unread
		// the kernel would send a reset instead of the end of the stream.
		endless := s.client(t, s.clients[1], "-count", "0", "-interval", "1h")
		_, err := endless.Stdout.AwaitLine(t.Context(), "its first reply", func(l string) bool { return l == "data : 0" })
		require.NoError(t, err)
		workers, err := srv.AwaitDescendants(t.Context(), "its worker alone", func(l rig.ProcessInfos) bool { return len(l) == 1 })
		require.NoError(t, err)
		worker := number(t, s.host, workers[0])
		_, _, err = s.lab.KillTogether(t.Context(), srv.Workers())
		require.NoError(t, err)
		ends(t, endless, 3)
		reaped := srv.awaitEvent(t, "reaped", func(e event) bool { return e.Worker == worker })
		assert.Equal(t, "SIGKILL", reaped.Signal)
		everythingReaped(t, srv, 2)
	})
}

// TestCtrlC interrupts a client in mid-conversation. The worker takes the end
// of the stream, or the reset where a reply was still unread, as a normal end.
func TestCtrlC(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		srv := s.serve(t)
		client := s.client(t, s.clients[0])
		say(t, client, "I am about to", "I am about to")
		require.NoError(t, client.Signal(syscall.SIGINT))
		exit, err := client.Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, syscall.SIGINT, exit.Signal)
		everythingReaped(t, srv, 1)

		allServed(t, s.load(t, s.clients[0], 5, "-leave", "reset"), s.load(t, s.clients[0], 5, "-leave", "close", "-leave-unread"))
		everythingReaped(t, srv, 11)
		assert.EqualValues(t, 11, srv.stop(t).Reaped)
		for _, reaped := range srv.events("reaped") {
			assert.Equal(t, 0, *reaped.Status, "a client that leaves is no error: worker %d", reaped.Worker)
		}
	})
}

// TestManyProcessesAndTheCapOnWorkers lets several clients meet a server that
// allows three workers: three connections are served, the kernel's backlog holds
// the others, and all are served in the end.
func TestManyProcessesAndTheCapOnWorkers(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		const allowed, coming = 3, 8
		srv := s.serve(t, "-max-workers", fmt.Sprint(allowed))
		crowd := s.loads(t, s.clients[0], 4, coming, "-messages", "0", "-hold")
		holding(t, crowd...)
		_, err := s.host.AwaitSockets(t.Context(), "connections in the backlog", func(all rig.Sockets) bool {
			listeners := all.On(port).In(rig.Listening)
			return len(listeners) == 1 && listeners[0].RecvQueue == coming-allowed
		})
		require.NoError(t, err)
		_, err = srv.AwaitDescendants(t.Context(), "three workers", func(l rig.ProcessInfos) bool { return len(l.Alive()) == allowed })
		require.NoError(t, err)
		srv.awaitEvent(t, "at-limit", func(event) bool { return true })

		for _, client := range crowd {
			require.NoError(t, client.Stdin.Close()) // it leaves
		}
		allServed(t, crowd...)
		allServed(t, s.loads(t, s.clients[0], 4, 20, "-parallel", "2")...)
		everythingReaped(t, srv, coming+20)
		srv.stop(t)
	})
}

// TestOneShotServerRestartsAtOnce restarts it as soon as its clients were
// served, again and again.
func TestOneShotServerRestartsAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, v variant) {
		s := newStage(t, v, 1)
		for range 3 {
			s.leaveTimeWait(t, "-service", "echo")
		}
	})
}

func contains(part string) func(string) bool {
	return func(line string) bool { return strings.Contains(line, part) }
}
