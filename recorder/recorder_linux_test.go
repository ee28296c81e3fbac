// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/rig"
	"forkrig/rig/fault"
	"forkrig/rig/inject"
	"forkrig/server/forkserver"
)

func TestMain(m *testing.M) {
	rig.Main(m, rig.Programs{"server": forkserver.Main, "inject": inject.Shim})
}

// serveEcho starts the reference server, and returns when it listens.
func serveEcho(t *testing.T, on *rig.Host, address netip.AddrPort) *rig.Process {
	t.Helper()
	p := on.MustStart(rig.Program("server", "-listen", address.String(), "-service", "echo"))
	_, err := on.AwaitListen(t.Context(), p, address.Port())
	require.NoError(t, err)
	return p
}

// visit has a client of the server converse once.
func visit(t *testing.T, from *rig.Host, to netip.AddrPort) {
	t.Helper()
	conn, err := from.Dial(t.Context(), to)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("hello\n"))
	require.NoError(t, err)
	line := make([]byte, 6)
	_, err = io.ReadFull(conn, line)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestRecordingTellsWhatHappened(t *testing.T) {
	for _, family := range rig.Families {
		t.Run(family.String(), func(t *testing.T) {
			t.Parallel()
			lab := rig.New(t)
			server, clients := lab.NewStar("server", "client", 2)
			r := recorder.Record(lab)
			defer r.Stop()
			address := netip.AddrPortFrom(server.MustAddr(family), 9999)
			p := serveEcho(t, server, address)
			visit(t, clients[0], address)
			_, err := p.AwaitReaped(t.Context())
			require.NoError(t, err)
			applied, err := fault.Apply(t.Context(), lab, fault.Unplugged{Host: clients[1]})
			require.NoError(t, err)
			require.NoError(t, applied.Heal(t.Context()))
			require.NoError(t, p.Kill(t.Context()))
			lab.Journal.RecordAs(rig.EventVerdict, "check", "fail: it was killed")
			r.Stop()
			got := r.Recording("story", recorder.Outcome{Verdict: "fail"})

			texts := eventTexts(got)
			if name := os.Getenv("FORKRIG_KEEP_RECORDING"); name != "" {
				data, err := json.MarshalIndent(got, "", " ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(name+family.String()+".json", data, 0o666))
			}
			require.Len(t, got.Hosts, 3, texts)
			assert.Equal(t, "client1", got.Hosts[0].Interfaces[0].Peer)

			at := slices.IndexFunc(got.Connections, func(c recorder.Connection) bool { return c.Client.Address != "" })
			require.GreaterOrEqual(t, at, 0, texts)
			k := got.Connections[at]
			assert.Equal(t, "client1", k.Client.Host)
			assert.Equal(t, "server", k.Server.Host)
			assert.Equal(t, address.String(), k.Server.Address)

			var flags []string
			bytes := 0
			for _, e := range got.Events {
				if e.Kind != recorder.Segment || e.Connection != k.ID || slices.Contains(e.Packet.Marks, "retransmission") {
					continue // a busy machine may answer later than the kernel waits
				}
				flags = append(flags, e.Packet.Flags)
				assert.Equal(t, map[string]string{"client1": "client", "server": "server"}[e.Packet.From], e.Packet.Side, e.Text)
				bytes += e.Packet.Bytes
				assert.NotContains(t, e.Packet.Marks, "lost", e.Text)
				assert.GreaterOrEqual(t, int64(e.Packet.Took), int64(0), e.Text)
			}
			assert.Equal(t, []string{"SYN", "SYN ACK", "ACK"}, flags[:3], texts)
			assert.Equal(t, 12, bytes, "what was said and echoed")
			assert.Contains(t, strings.Join(flags, ","), "FIN")

			require.NotEmpty(t, got.Processes, texts)
			assert.Equal(t, "server", got.Processes[0].Name)
			assert.NotEmpty(t, got.Processes[0].Command)
			assert.Contains(t, got.Processes[0].Exit, "signal 9")

			require.NotEmpty(t, got.Spans)
			faults := slices.DeleteFunc(slices.Clone(got.Spans), func(s recorder.Span) bool { return s.Kind != recorder.Fault })
			require.Len(t, faults, 1)
			assert.Positive(t, faults[0].Ended)
			assert.Equal(t, []string{"client2"}, faults[0].Hosts)
			assert.Positive(t, got.Focus)
			assert.NotEmpty(t, got.Frames)
			for _, e := range got.Events {
				assert.NotContains(t, e.Text, "not recorded")
			}
			checkExports(t, got)
		})
	}
}

// TestRecordingEndsAtOnce: of packets that go on while the recorder stops, both ends are recorded or
// none.
func TestRecordingEndsAtOnce(t *testing.T) {
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 3)
	r := recorder.Record(lab)
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 9999)
	serveEcho(t, server, address)
	var talk sync.WaitGroup
	defer talk.Wait()
	echoed := make(chan struct{}, len(clients))
	for _, client := range clients {
		conn, err := client.Dial(t.Context(), address)
		require.NoError(t, err)
		defer conn.Close()
		talk.Go(func() {
			line := []byte("hello\n")
			for n := 0; ; n++ {
				if _, err := conn.Write(line); err != nil {
					return // the test has closed it
				}
				if _, err := io.ReadFull(conn, line); err != nil {
					return
				}
				if n == 100 {
					echoed <- struct{}{}
				}
				time.Sleep(time.Millisecond) // the ring has room for so many
			}
		})
	}
	for range clients {
		select {
		case <-echoed:
		case <-time.After(rig.Scaled(10 * time.Second)):
			require.Fail(t, "a client has not been answered 100 times within 10 seconds")
		}
	}
	r.Stop()
	lab.Journal.Record("test", "this comes too late")
	got := r.Recording("goes on", recorder.Outcome{})
	segments := 0
	for _, e := range got.Events {
		assert.NotContains(t, e.Text, "lost")
		assert.NotContains(t, e.Text, "too late")
		if e.Kind == recorder.Segment {
			segments++
		}
	}
	assert.Greater(t, segments, 600)
}

// checkExports writes a recording in all forms and reads it back.
func checkExports(t *testing.T, r recorder.Recording) {
	t.Helper()
	captured := packets(t, capture(t, r))
	assert.Len(t, captured, len(r.Frames))
	for _, p := range captured {
		assert.LessOrEqual(t, len(p.data), p.length)
	}
	seen := perfetto(t, r)
	arrived := 0
	for _, e := range r.Events {
		if e.Packet != nil && e.Connection != 0 && e.Packet.Took >= 0 {
			arrived++
		}
	}
	assert.Equal(t, arrived, seen.flows, "packets that came")
	assert.NoError(t, validator(t).Validate(encoded(t, r))) // the last, because it may skip
}

// TestRecordingOfNothing: lists of nothing are no null.
func TestRecordingOfNothing(t *testing.T) {
	lab := rig.New(t)
	r := recorder.Record(lab)
	r.Stop()
	got := r.Recording("nothing", recorder.Outcome{})
	data, err := json.Marshal(got)
	require.NoError(t, err)
	assert.NotContains(t, string(data), "null")
	assert.Contains(t, string(data), `"hosts":[]`)

	lab.NewHost("alone")
	data, err = json.Marshal(r.Recording("a host", recorder.Outcome{}))
	require.NoError(t, err)
	assert.Contains(t, string(data), `{"name":"alone","interfaces":[]}`)
	checkExports(t, got)
}

// TestRecordingTellsSidesApart: on the loopback, both sides are of one host.
func TestRecordingTellsSidesApart(t *testing.T) {
	lab := rig.New(t)
	server, _ := lab.NewStar("server", "client", 1)
	r := recorder.Record(lab)
	defer r.Stop()
	address := netip.MustParseAddrPort("127.0.0.1:9999")
	p := serveEcho(t, server, address)
	visit(t, server, address)
	_, err := p.AwaitReaped(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Kill(t.Context()))
	r.Stop()
	got := r.Recording("loopback", recorder.Outcome{})
	bytes := map[string]int{}
	for _, e := range got.Events {
		if e.Packet != nil && e.Connection != 0 {
			assert.Equal(t, "server", e.Packet.From)
			assert.Equal(t, "server", e.Packet.To)
			if !slices.Contains(e.Packet.Marks, "retransmission") {
				bytes[e.Packet.Side] += e.Packet.Bytes
			}
		}
	}
	assert.Equal(t, map[string]int{"client": 6, "server": 6}, bytes, eventTexts(got))
	checkExports(t, got)
}

// TestDetourIsOneWay: what a fault delivers later left once, and what it does not deliver was lost.
func TestDetourIsOneWay(t *testing.T) {
	lab := rig.New(t)
	server, clients := lab.NewStar("server", "client", 1)
	client := clients[0]
	r := recorder.Record(lab)
	defer r.Stop()
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 9999)
	serveEcho(t, server, address)
	apply := func(f fault.Impairment) *fault.Applied {
		f.Link, f.From = client.Links()[0], client
		applied, err := fault.Apply(t.Context(), lab, f)
		require.NoError(t, err)
		return applied
	}
	during := func(f fault.Impairment, do func()) {
		applied := apply(f)
		do()
		require.NoError(t, applied.Heal(t.Context()))
	}
	const delay = 30 * time.Millisecond
	during(fault.Impairment{Delay: delay}, func() { visit(t, client, address) })
	during(fault.Impairment{Duplicate: 1}, func() { visit(t, client, address) })
	unanswered := func(met *fault.Tally) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		dialed := make(chan error, 1)
		go func() {
			_, err := client.Dial(ctx, address)
			dialed <- err
		}()
		require.NoError(t, rig.Await(t.Context(), "the fault meets a SYN", func() (bool, string, error) {
			return met.Packets.Load() > 0, met.String(), nil
		}))
		cancel()
		require.Error(t, <-dialed)
	}
	var losing, holding fault.Tally
	during(fault.Impairment{Loss: 1, Tally: &losing}, func() { unanswered(&losing) })
	during(fault.Impairment{Delay: delay}, func() { visit(t, client, address) }) // which leaves so much later that the SYN was lost
	apply(fault.Impairment{Delay: time.Hour, Tally: &holding})
	unanswered(&holding)
	r.Stop()
	got := r.Recording("detour", recorder.Outcome{})

	packetsOf := map[int][]recorder.Event{} // of the client, by connection
	var ids []int
	for _, e := range got.Events {
		if e.Packet == nil || e.Connection == 0 || e.Packet.From != "client1" {
			continue
		}
		if packetsOf[e.Connection] == nil {
			ids = append(ids, e.Connection)
		}
		packetsOf[e.Connection] = append(packetsOf[e.Connection], e)
	}
	require.Len(t, ids, 5, eventTexts(got))
	marks := func(i int) (all []string) {
		for _, e := range packetsOf[ids[i]] {
			all = append(all, e.Packet.Marks...)
		}
		// A busy machine may answer later than the kernel waits.
		return slices.DeleteFunc(all, func(mark string) bool { return mark == "retransmission" })
	}
	for _, e := range packetsOf[ids[0]][:2] { // healing lets the last ones arrive at once
		assert.GreaterOrEqual(t, e.Packet.Took, delay, e.Text)
	}
	assert.Empty(t, marks(0), eventTexts(got))
	assert.Contains(t, marks(1), "duplicate")
	assert.Equal(t, "lost", marks(2)[0])
	assert.Equal(t, "not seen to arrive", marks(4)[0], "nothing that was sent later has arrived")
	checkExports(t, got)
}

func eventTexts(r recorder.Recording) string {
	var b strings.Builder
	for _, e := range r.Events {
		b.WriteString(rig.Event{At: e.At, Who: e.Host, What: string(e.Kind) + " " + e.Text}.String() + "\n")
	}
	return b.String()
}
