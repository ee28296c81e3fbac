// SPDX-License-Identifier: Apache-2.0

package scenarios

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/client/tcpclient"
	"forkrig/rig"
	"forkrig/server/forkserver"
)

// variant is one of the ways in which a story is told.
type variant struct {
	family rig.Family
	worker string // fork or exec
}

var allVariants = flag.Bool("all-variants", false,
	"tell each story in IPv4 and in IPv6 with each worker model; without it, in two variants that cover both families and both models")

// everywhere tells a story in each variant, with so many hosts of clients.
func everywhere(t *testing.T, clients int, story func(t *testing.T, s *stage)) {
	t.Helper()
	inVariants(t, func(t *testing.T, v variant) { story(t, newStage(t, v, clients)) })
}

// inVariants tells a story in IPv4 with forked workers and in IPv6 with executed
// ones, side by side; with -all-variants in the other two combinations, too, and with
// -short in the first one only.
func inVariants(t *testing.T, story func(t *testing.T, v variant)) {
	t.Helper()
	switch {
	case *allVariants:
		inEach(t, everyVariant, story)
	case testing.Short():
		inEach(t, everyVariant[:1], story)
	default:
		inEach(t, everyVariant[:2], story)
	}
}

// everyVariant begins with two that cover both families and both worker models.
var everyVariant = []variant{{rig.IPv4, "fork"}, {rig.IPv6, "exec"}, {rig.IPv4, "exec"}, {rig.IPv6, "fork"}}

// inEach tells a story in each of these variants, side by side.
func inEach(t *testing.T, variants []variant, story func(t *testing.T, v variant)) {
	t.Helper()
	t.Parallel()
	for _, v := range variants {
		t.Run(v.family.String()+"/"+v.worker, func(t *testing.T) {
			t.Parallel()
			story(t, v)
		})
	}
}

// crowd returns how many clients make a crowd: forked many, or a fifth where workers
// are executed. An executed worker takes some ten times the processor time of a forked
// one, and the kernel starts, signals and reaps both alike.
func (v variant) crowd(forked int) int {
	if v.worker == "exec" {
		return forked / 5
	}
	return forked
}

// port is where the servers of the scenarios listen. Every lab is a world of
// its own, so it is never taken.
const port = 9999

// stage is a server's host and the hosts of its clients, ready for a story.
type stage struct {
	variant
	lab     *rig.Lab
	host    *rig.Host
	clients []*rig.Host
	address netip.AddrPort // where the clients reach the server
}

func newStage(tb testing.TB, v variant, clients int) *stage {
	tb.Helper()
	record := options.Record(tb)
	s := &stage{variant: v, lab: rig.New(tb)}
	s.host, s.clients = s.lab.NewStar("server", "client", clients)
	record(s.lab)
	s.address = netip.AddrPortFrom(s.host.MustAddr(v.family), port)
	return s
}

// smallBuffers gives every socket that is opened from now on buffers so small that a message
// of [transfer] bytes is under way for as long as its receiver does not read (tcp(7),
// tcp_rmem and tcp_wmem, which IPv6 heeds, too). A receiver has room for more than its
// sender may have under way. Otherwise an outage that begins when the buffers of both
// sides are full lasts for minutes: each side drops what the other one sends again, its
// acknowledgements with it, and only a retransmission timeout goes on, ever later.
func (s *stage) smallBuffers(tb testing.TB) {
	tb.Helper()
	for _, host := range append([]*rig.Host{s.host}, s.clients...) {
		require.NoError(tb, host.SetSysctl("net.ipv4.tcp_wmem", "4096 65536 65536"))
		require.NoError(tb, host.SetSysctl("net.ipv4.tcp_rmem", "4096 262144 262144"))
	}
}

// transfer is the size of a message that does not fit into the buffers of both sides.
const transfer = "1048576"

// server is a running reference server.
type server struct {
	*rig.Process
	stage    *stage
	listener rig.Socket
	baseline rig.FDs // what it had open before the first connection
}

// serve starts a server on the stage's address and waits until it listens.
func (s *stage) serve(tb testing.TB, args ...string) *server {
	tb.Helper()
	return s.serveAt(tb, s.address, args...)
}

func (s *stage) serveAt(tb testing.TB, address netip.AddrPort, args ...string) *server {
	tb.Helper()
	p := s.host.MustStart(rig.Program("server", s.serverArgs(address, args...)...))
	return s.listening(tb, p, address.Port())
}

func (s *stage) serverArgs(address netip.AddrPort, args ...string) []string {
	return append([]string{"-listen", address.String(), "-worker", s.worker}, args...)
}

// listening waits until the process listens on the port.
func (s *stage) listening(tb testing.TB, p *rig.Process, port uint16) *server {
	tb.Helper()
	listener, err := s.host.AwaitListen(tb.Context(), p, port)
	require.NoError(tb, err)
	// The event says that the server has nothing left to open.
	srv := &server{Process: p, stage: s, listener: listener}
	srv.awaitEvent(tb, "listening", func(event) bool { return true })
	srv.baseline, err = p.FDs()
	require.NoError(tb, err)
	return srv
}

// event is a line of the server's log.
type event struct {
	Msg    string
	Peer   netip.AddrPort
	Worker int
	Status *int
	Signal string
}

// events returns the lines of the server's log with that message.
func (srv *server) events(msg string) []event {
	var found []event
	for _, line := range srv.Stderr.Lines() {
		if e, ok := parseEvent(line); ok && e.Msg == msg {
			found = append(found, e)
		}
	}
	return found
}

// awaitEvent waits for a line of the server's log.
func (srv *server) awaitEvent(tb testing.TB, msg string, match func(event) bool) event {
	tb.Helper()
	line, err := srv.Stderr.AwaitLine(tb.Context(), "event "+msg, func(line string) bool {
		e, ok := parseEvent(line)
		return ok && e.Msg == msg && match(e)
	})
	require.NoError(tb, err)
	e, _ := parseEvent(line)
	return e
}

func parseEvent(line string) (event, bool) {
	var e event
	// "worker" is the model in one event and a process in the others.
	var wide struct {
		Msg    string
		Peer   string
		Worker any
		Status *int
		Signal string
	}
	if json.Unmarshal([]byte(line), &wide) != nil {
		return e, false
	}
	e = event{Msg: wide.Msg, Status: wide.Status, Signal: wide.Signal}
	e.Peer, _ = netip.ParseAddrPort(wide.Peer)
	if pid, ok := wide.Worker.(float64); ok && pid >= 1 && pid <= math.MaxInt32 {
		e.Worker = int(pid)
	}
	return e, true
}

// stop ends the server as an administrator would and returns what it counted.
func (srv *server) stop(tb testing.TB) forkserver.Counts {
	tb.Helper()
	exit, err := srv.Stop(tb.Context())
	require.NoError(tb, err)
	assert.True(tb, exit.Success(), "the server ended with %v", exit)
	return srv.counts(tb)
}

// counts returns what a server that has ended counted.
func (srv *server) counts(tb testing.TB) forkserver.Counts {
	tb.Helper()
	require.NoError(tb, srv.Stderr.AwaitEnd(tb.Context()))
	last := srv.Stderr.Last(1)
	require.Len(tb, last, 1, "the server's last line")
	counts, err := forkserver.ParseCounts([]byte(last[0]))
	require.NoError(tb, err)
	return counts
}

// client starts a client on the host, towards the stage's server.
func (s *stage) client(tb testing.TB, host *rig.Host, args ...string) *rig.Process {
	tb.Helper()
	return host.MustStart(s.clientCommand(args...))
}

func (s *stage) clientCommand(args ...string) rig.Command {
	c := rig.Program("client", append(args, s.address.String())...)
	c.Stdin = true
	return c
}

// load starts a client of many connections that reports in JSON.
func (s *stage) load(tb testing.TB, host *rig.Host, connections int, args ...string) *rig.Process {
	tb.Helper()
	return host.MustStart(s.loadCommand(connections, args...))
}

// loads starts several clients that share the connections evenly.
func (s *stage) loads(tb testing.TB, host *rig.Host, clients, connections int, args ...string) []*rig.Process {
	tb.Helper()
	var started []*rig.Process
	for range clients {
		started = append(started, s.load(tb, host, connections/clients, args...))
	}
	return started
}

func (s *stage) loadCommand(connections int, args ...string) rig.Command {
	// The client gives up a little earlier than the rig, and can say on what.
	timeout := rig.Patience() * 9 / 10
	fixed := []string{"-json", "-connections", strconv.Itoa(connections), "-timeout", timeout.String()}
	return s.clientCommand(append(fixed, args...)...)
}

// report waits for the end of a load and returns what it reports.
func report(tb testing.TB, client *rig.Process) tcpclient.Report {
	tb.Helper()
	r, err := awaitReport(tb.Context(), client)
	require.NoError(tb, err)
	return r
}

func awaitReport(ctx context.Context, client *rig.Process) (r tcpclient.Report, err error) {
	if _, err := client.Wait(ctx); err != nil {
		return r, err
	}
	line, err := client.Stdout.AwaitLine(ctx, "the client's report", func(line string) bool {
		return strings.Contains(line, `"event":"report"`)
	})
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(line), &r)
}

// allServed waits for the end of loads and checks that every connection was
// served with every byte right.
func allServed(tb testing.TB, clients ...*rig.Process) {
	tb.Helper()
	for _, client := range clients {
		assert.NoError(tb, report(tb, client).Err(), "%v", client)
	}
}

// holding waits until the load announces that all its connections stand open.
func holding(tb testing.TB, clients ...*rig.Process) {
	tb.Helper()
	for _, client := range clients {
		line, err := client.Stdout.AwaitLine(tb.Context(), "connections held", func(line string) bool {
			return strings.Contains(line, `"event":"holding"`)
		})
		require.NoError(tb, err)
		var gathered tcpclient.Gathered
		require.NoError(tb, json.Unmarshal([]byte(line), &gathered))
		require.Zero(tb, gathered.Failed, line)
	}
}

// say sends a line to an interactive client's input and checks the next line that the
// client prints.
func say(tb testing.TB, client *rig.Process, line, reply string) {
	tb.Helper()
	before := client.Stdout.Total()
	_, err := client.Stdin.Write([]byte(line + "\n"))
	require.NoError(tb, err)
	_, err = client.Stdout.AwaitLine(tb.Context(), "the reply "+reply, func(string) bool { return client.Stdout.Total() > before })
	require.NoError(tb, err)
	require.Equal(tb, reply, client.Stdout.Last(1)[0], "the reply to %q", line)
}

// servesMeanwhile waits for the end of a load and checks that every connection was
// served. It fails as soon as connections wait for accept while every process of the
// server's host sleeps: then nothing but another event will serve them.
func (srv *server) servesMeanwhile(tb testing.TB, load *rig.Process, doing string) {
	tb.Helper()
	rest, queued := srv.stage.host.WatchRest(), 0
	require.NoError(tb, rig.Await(tb.Context(), "the end of a load", func() (bool, string, error) {
		if !load.Running() {
			return true, "", nil
		}
		quiet, _, err := rest.Look()
		if err != nil {
			return false, "", err
		}
		sockets, err := srv.stage.host.Sockets()
		if err != nil {
			return false, "", err
		}
		queued = 0
		for _, listener := range sockets.On(port).In(rig.Listening) {
			queued += int(listener.RecvQueue)
		}
		return queued > 0 && quiet >= rig.Scaled(atRest), sockets.String(), nil
	}))
	if load.Running() {
		require.Fail(tb, fmt.Sprintf("%d connections wait for accept while %s", queued, doing),
			"expected: others are served meanwhile\nobserved: every process of the server's host sleeps")
	}
	allServed(tb, load)
}

// atRest is for how long every process of a host has been asleep when nothing but
// another event will wake one.
const atRest = 200 * time.Millisecond

// catches sees a story fail with these words at a server that is wrong, beside other tests.
func catches(t *testing.T, words string, story func(tb testing.TB, s *stage)) {
	t.Helper()
	t.Parallel()
	trial := rig.Try(t, func(tb testing.TB) { story(tb, newStage(tb, variant{rig.IPv4, "fork"}, 2)) })
	if trial.Skipped {
		t.Skip(trial.Log)
	}
	assert.True(t, trial.Failed)
	assert.Contains(t, trial.Log, words)
}

// number returns the number by which the processes of the host, and their logs,
// know the process.
func number(tb testing.TB, host *rig.Host, info rig.ProcessInfo) int {
	tb.Helper()
	pid, err := host.PIDOf(info)
	require.NoError(tb, err)
	return pid
}

// ends waits for the end of a process and checks its exit status.
func ends(tb testing.TB, p *rig.Process, status int) {
	tb.Helper()
	exit, err := p.Wait(tb.Context())
	require.NoError(tb, err)
	assert.Equal(tb, rig.Exit{Code: status, UserTime: exit.UserTime, SysTime: exit.SysTime}, exit, "%v", p)
}
