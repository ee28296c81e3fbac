// SPDX-License-Identifier: Apache-2.0

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

// TestOneShotServerAndAPerson answers one line in upper case and closes (RFC 9293,
// section 3.6).
func TestOneShotServerAndAPerson(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { oneShotServerAndAPerson(t, s) })
}

func oneShotServerAndAPerson(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	loopback := map[rig.Family]string{rig.IPv4: "127.0.0.1", rig.IPv6: "::1"}[s.family]
	s.address = netip.AddrPortFrom(netip.MustParseAddr(loopback), 6666)
	srv := s.serve(tb, append(serverArgs, "-service", "upper", "-once")...)

	client := s.client(tb, s.host)
	say(tb, client, "hello", "HELLO")
	ends(tb, client, 3) // the server closed first

	netcat, err := exec.LookPath("nc")
	if err != nil {
		rig.SkipIfMissing(tb, &rig.MissingError{Feature: "netcat", Err: err, Remedy: "apt-get install netcat-openbsd"})
	}
	c := rig.Exec(netcat, s.address.Addr().String(), "6666")
	c.Stdin = true
	person := s.host.MustStart(c)
	say(tb, person, "and you?", "AND YOU?")
	require.NoError(tb, person.Stdin.Close())
	ends(tb, person, 0)
	assert.EqualValues(tb, 2, srv.stop(tb).Reaped)
}

// TestOneShotServerListensWhereItAlwaysDid starts it without an address.
func TestOneShotServerListensWhereItAlwaysDid(t *testing.T) {
	t.Parallel()
	listensAt(t, newStage(t, variant{rig.IPv4, "fork"}, 1), 6666, "127.0.0.1:6666", "-service", "upper", "-once")
}

// TestServerStartsWhereItAlwaysDid starts the echo server without an address.
func TestServerStartsWhereItAlwaysDid(t *testing.T) {
	t.Parallel()
	listensAt(t, newStage(t, variant{rig.IPv4, "fork"}, 1), port, "0.0.0.0:9999")
}

func listensAt(tb testing.TB, s *stage, port uint16, address string, serverArgs ...string) {
	tb.Helper()
	srv := s.listening(tb, s.host.MustStart(rig.Program("server", serverArgs...)), port)
	assert.Equal(tb, address, srv.listener.Local.String())
	srv.stop(tb)
}

// TestInteractiveClient sends what is typed and prints what comes back; the end of input
// half-closes (shutdown(2), SHUT_WR), drains and ends with status 0.
func TestInteractiveClient(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { interactiveClient(t, s) })
}

func interactiveClient(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	client := s.client(tb, s.clients[0])
	say(tb, client, "hello", "hello")
	say(tb, client, "", "")
	_, err := client.Stdin.Write([]byte("no newline at the end"))
	require.NoError(tb, err)
	require.NoError(tb, client.Stdin.Close())
	ends(tb, client, 0)
	require.NoError(tb, client.Stdout.AwaitEnd(tb.Context()))
	assert.Equal(tb, []string{"hello", "", "no newline at the end"}, client.Stdout.Lines())
	everythingReaped(tb, srv, 1)
}

// TestEchoServerNamesPeersAndWorkers listens on every address (ip(7), INADDR_ANY), prints
// the address and port of each client and names each worker that it reaped.
func TestEchoServerNamesPeersAndWorkers(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { namesPeersAndWorkers(t, s) })
}

func namesPeersAndWorkers(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	srv := s.serveAt(tb, netip.AddrPortFrom(s.family.Wildcard(), port), serverArgs...)
	for i, host := range s.clients {
		client := s.client(tb, host)
		say(tb, client, "I am "+host.Name, "I am "+host.Name)
		sockets, err := host.Sockets()
		require.NoError(tb, err)
		mine := sockets.In(rig.Established)
		require.Len(tb, mine, 1)
		accepted := srv.awaitEvent(tb, "accepted", func(e event) bool { return e.Peer == mine[0].Local })
		workers, err := srv.Descendants()
		require.NoError(tb, err)
		require.Len(tb, workers, 1, "one worker for the client in conversation")
		assert.Equal(tb, number(tb, s.host, workers[0]), accepted.Worker, "the worker in the log is the one the kernel knows")

		require.NoError(tb, client.Stdin.Close())
		ends(tb, client, 0)
		reaped := srv.awaitEvent(tb, "reaped", func(e event) bool { return e.Worker == accepted.Worker })
		require.NotNil(tb, reaped.Status)
		assert.Zero(tb, *reaped.Status)
		assert.Len(tb, srv.events("reaped"), i+1)
	}
	srv.stop(tb)
}

// TestCountingClient sends one numbered message after the other, and ends when the server
// closes.
func TestCountingClient(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, s *stage) { countingClient(t, s) })
}

func countingClient(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	srv := s.serve(tb, serverArgs...)
	finite := s.client(tb, s.clients[0], "-count", "3", "-interval", "1ms")
	ends(tb, finite, 0)
	require.NoError(tb, finite.Stdout.AwaitEnd(tb.Context()))
	require.Equal(tb, []string{"data : 0", "data : 1", "data : 2"}, finite.Stdout.Lines(), "what the client printed")

	// Nothing is on its way when the worker is killed: with a message unread
	// the kernel would send a reset instead of the end of the stream (RFC 1122, section
	// 4.2.2.13).
	endless := s.client(tb, s.clients[1], "-count", "0", "-interval", "1h")
	_, err := endless.Stdout.AwaitLine(tb.Context(), "its first reply", func(l string) bool { return l == "data : 0" })
	require.NoError(tb, err)
	workers, err := srv.AwaitDescendants(tb.Context(), "its worker alone", func(l rig.ProcessInfos) bool { return len(l) == 1 })
	require.NoError(tb, err)
	worker := number(tb, s.host, workers[0])
	_, _, err = s.lab.KillTogether(tb.Context(), srv.Workers())
	require.NoError(tb, err)
	ends(tb, endless, 3)
	reaped := srv.awaitEvent(tb, "reaped", func(e event) bool { return e.Worker == worker })
	assert.Equal(tb, "SIGKILL", reaped.Signal)
	everythingReaped(tb, srv, 2)
}

// TestCtrlC interrupts a client in mid-conversation. The worker takes the end of the
// stream, or the reset where a reply was still unread (RFC 9293, section 3.6.1), as a
// normal end.
func TestCtrlC(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { ctrlC(t, s) })
}

func ctrlC(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	const all = 3 // left by SIGINT, by a reset, and with a reply unread
	srv := s.serve(tb, serverArgs...)
	client := s.client(tb, s.clients[0])
	say(tb, client, "I am about to", "I am about to")
	require.NoError(tb, client.Signal(syscall.SIGINT))
	exit, err := client.Wait(tb.Context())
	require.NoError(tb, err)
	assert.Equal(tb, syscall.SIGINT, exit.Signal)
	everythingReaped(tb, srv, 1)

	allServed(tb, s.load(tb, s.clients[0], 1, "-leave", "reset"),
		s.load(tb, s.clients[0], 1, "-leave", "close", "-leave-unread"))
	everythingReaped(tb, srv, all)
	assert.EqualValues(tb, all, srv.stop(tb).Reaped)
	for _, reaped := range srv.events("reaped") {
		assert.Equal(tb, 0, *reaped.Status, "a client that leaves is no error: worker %d", reaped.Worker)
	}
}

// TestManyProcessesAndTheCapOnWorkers lets several clients meet a server that
// allows three workers: three connections are served, the kernel's backlog holds
// the others, and all are served in the end.
func TestManyProcessesAndTheCapOnWorkers(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) {
		const allowed, coming, afterwards = 3, 8, 8
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
		allServed(t, s.loads(t, s.clients[0], 4, afterwards, "-parallel", "2")...)
		everythingReaped(t, srv, coming+afterwards)
		srv.stop(t)
	})
}

// TestOneShotServerRestartsAtOnce restarts it as soon as its clients were served, again
// and again (RFC 9293, section 3.6.1, TIME-WAIT; socket(7), SO_REUSEADDR).
func TestOneShotServerRestartsAtOnce(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, s *stage) { restartsAtOnce(t, s) })
}

func restartsAtOnce(tb testing.TB, s *stage, serverArgs ...string) {
	tb.Helper()
	for range 3 {
		s.leaveTimeWait(tb, append(serverArgs, "-service", "echo")...)
	}
}

// TestTutorialStoriesCatch sees the stories of the tutorial servers fail at a server that
// is wrong.
func TestTutorialStoriesCatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		story func(testing.TB, *stage, ...string)
		// A server with this defect fails the story with these words.
		defect, words string
	}{
		{"one-shot server", oneShotServerAndAPerson, "drop-first-byte", `the reply to "hello"`},
		{"interactive client", interactiveClient, "drop-first-byte", `the reply to "hello"`},
		{"peers and workers", namesPeersAndWorkers, "serial", "one worker for the client in conversation"},
		{"counting client", countingClient, "drop-first-byte", "what the client printed"},
		{"Ctrl-C", ctrlC, "worker-ignores-reset", "workers stay although their clients have left"},
		{"restart at once", restartsAtOnce, "no-reuseaddr", "address already in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			catches(t, c.words, func(tb testing.TB, s *stage) { c.story(tb, s, "-defect", c.defect, "-grace", "1ms") })
		})
	}
	t.Run("default address", func(t *testing.T) {
		catches(t, `"127.0.0.1:9999"`, func(tb testing.TB, s *stage) {
			listensAt(tb, s, port, "0.0.0.0:9999", "-service", "upper", "-listen", "127.0.0.1:9999")
		})
	})
}

func contains(part string) func(string) bool {
	return func(line string) bool { return strings.Contains(line, part) }
}
