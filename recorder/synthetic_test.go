// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
)

const ms = time.Millisecond

// segment is a TCP segment that a synthetic recording has.
type segment struct {
	at       time.Duration
	sent     string // the host
	to       string
	src, dst string // addresses with ports
	flags    string
	seq, ack uint32
	payload  string
	marks    []string
	lost     bool
	process  int
}

// frame builds the bytes of a segment from its Ethernet header on.
func (s segment) frame(t testing.TB) []byte {
	src, dst := netip.MustParseAddrPort(s.src), netip.MustParseAddrPort(s.dst)
	ether := &layers.Ethernet{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
		EthernetType: layers.EthernetTypeIPv4,
	}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: s.seq, Ack: s.ack, Window: 64000}
	for _, flag := range s.flags {
		switch flag {
		case 'S':
			tcp.SYN = true
		case 'A':
			tcp.ACK = true
		case 'F':
			tcp.FIN = true
		case 'R':
			tcp.RST = true
		case 'P':
			tcp.PSH = true
		}
	}
	all := []gopacket.SerializableLayer{ether}
	if src.Addr().Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(ip))
		all = append(all, ip)
	} else {
		ether.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(ip))
		all = append(all, ip)
	}
	all = append(all, tcp, gopacket.Payload(s.payload))
	buffer := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	return buffer.Bytes()
}

// story is a recording that is being made.
type story struct {
	t testing.TB
	recorder.Recording
}

func (s *story) event(e recorder.Event) int {
	e.ID = len(s.Events) + 1
	s.Events = append(s.Events, e)
	return e.ID
}

// send adds the event and the frames of a segment, and returns the ID of the event.
func (s *story) send(connection int, g segment) int {
	const took = 50 * time.Microsecond
	packet := &recorder.Packet{
		From: g.sent, To: g.to, Took: took, Flags: g.flags, Seq: g.seq, Ack: g.ack,
		Window: 64000, Bytes: len(g.payload), First: g.payload, Marks: g.marks,
	}
	if g.lost {
		packet.Took = -1
	}
	if connection > 0 {
		packet.Side = "client"
		if s.Connections[connection-1].Server.Address == g.src {
			packet.Side = "server"
		}
	}
	id := s.event(recorder.Event{
		At: g.at, Kind: recorder.Segment, Host: g.sent, Process: g.process, Connection: connection,
		Text: fmt.Sprintf("%s > %s %s", g.src, g.dst, g.flags), Packet: packet,
	})
	data := g.frame(s.t)
	frame := recorder.Frame{
		At: g.at, Host: g.sent, Interface: "eth0", Sent: true, Length: len(data),
		Data: data[:min(len(data), 96)], Process: g.process, Event: id,
	}
	if g.sent == g.to {
		frame.Interface = "lo"
	}
	s.Frames = append(s.Frames, frame)
	if !g.lost {
		frame.At, frame.Host, frame.Sent = g.at+took, g.to, false
		s.Frames = append(s.Frames, frame)
	}
	return id
}

// forkingServer is a recording of a server whose worker becomes a zombie, and of what the rig
// does to it: a retransmission, faults that overlap, a storm, a wait that fails.
func forkingServer(t testing.TB) recorder.Recording {
	s := &story{t: t, Recording: recorder.Recording{
		Schema: recorder.Schema, Name: "reap IPv4", Kernel: "6.12.0", Seed: 1<<63 + 5,
		Began: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC), Length: 2 * time.Second,
		Outcome: recorder.Outcome{
			Verdict: "fail", Expected: "no zombie lasts", Observed: "worker[42] is a zombie",
			Why: "wait for the children", Words: []string{"accepted", "child gone"},
		},
		Dropped: []recorder.Dropped{},
		Hosts: []recorder.Host{
			{Name: "server", Interfaces: []recorder.Interface{{Name: "eth0", Addresses: []string{"10.0.0.1/24", "fd00::1/64"}, Peer: "client1"}}},
			{Name: "client1", Interfaces: []recorder.Interface{{Name: "eth0", Addresses: []string{"10.0.0.2/24"}, Peer: "server"}}},
		},
		Processes: []recorder.Process{
			{ID: 1, Host: "server", Name: "server", PID: 41, Command: "server -port 6666", Began: 10 * ms, States: []recorder.State{{At: 10 * ms, Name: "runs"}}},
			{ID: 2, Parent: 1, Host: "server", Name: "worker", PID: 42, Began: 110 * ms,
				States: []recorder.State{{At: 110 * ms, Name: "runs"}, {At: 300 * ms, Name: "stopped"}, {At: 400 * ms, Name: "runs"}, {At: 900 * ms, Name: "zombie"}}},
			{ID: 3, Parent: 1, Host: "server", Name: "worker", PID: 43, Began: 120 * ms, Ended: 800 * ms, Exit: "exit status 1",
				Descriptors: []recorder.Count{{At: 130 * ms, Count: 5}, {At: 500 * ms, Count: 4}},
				States:      []recorder.State{{At: 120 * ms, Name: "runs"}, {At: 790 * ms, Name: "zombie"}}},
			{ID: 4, Host: "client1", Name: "client", PID: 42, Command: "client 10.0.0.1:6666", Began: 50 * ms, Ended: 1500 * ms,
				Exit: "killed by SIGKILL", States: []recorder.State{{At: 50 * ms, Name: "runs"}}},
		},
		Connections: []recorder.Connection{
			{ID: 1, Server: recorder.Endpoint{Host: "server", Address: "10.0.0.1:6666", States: []recorder.State{{At: 20 * ms, Name: "LISTEN"}}}, Began: 20 * ms},
			{ID: 2, Client: recorder.Endpoint{Host: "client1", Address: "10.0.0.2:40000", States: []recorder.State{
				{At: 100 * ms, Name: "SYN_SENT"}, {At: 101 * ms, Name: "ESTABLISHED"}, {At: 700 * ms, Name: "FIN_WAIT2"}, {At: 800 * ms, Name: "TIME_WAIT"}, {At: 1800 * ms, Name: "gone"}}},
				Server: recorder.Endpoint{Host: "server", Address: "10.0.0.1:6666", States: []recorder.State{
					{At: 101 * ms, Name: "ESTABLISHED"}, {At: 700 * ms, Name: "CLOSE_WAIT"}, {At: 800 * ms, Name: "gone"}}},
				Began: 100 * ms, Ended: 1800 * ms},
			{ID: 3, Client: recorder.Endpoint{Host: "server", Address: "127.0.0.1:50000"}, Server: recorder.Endpoint{Host: "server", Address: "127.0.0.1:7777"},
				Began: 500 * ms, Ended: 500 * ms},
		},
		Spans: []recorder.Span{
			{ID: 1, Kind: recorder.Fault, Hosts: []string{"server"}, Name: "loss of 10 %", Began: 150 * ms, Ended: 600 * ms},
			{ID: 2, Kind: recorder.Fault, Hosts: []string{"client1"}, Name: "delay of 20 ms", Began: 200 * ms, Ended: 1000 * ms},
			{ID: 3, Kind: recorder.Storm, Hosts: []string{"server"}, Name: "SIGCHLD", Began: 400 * ms},
			{ID: 4, Kind: recorder.Wait, Hosts: []string{"server"}, Name: "no zombie", Began: 900 * ms, Ended: 1900 * ms, Error: "a zombie is there"},
			{ID: 5, Kind: recorder.Wait, Name: "client1 has its bytes", Began: 100 * ms, Ended: 900 * ms},
		},
	}}
	s.event(recorder.Event{At: 0, Kind: recorder.Note, Text: "the lab is made"})
	s.event(recorder.Event{At: 10 * ms, Kind: recorder.Start, Host: "server", Process: 1, Text: "server starts"})
	const client, server = "10.0.0.2:40000", "10.0.0.1:6666"
	to := func(at time.Duration, flags string, seq, ack uint32, payload string) segment {
		return segment{at: at, sent: "client1", to: "server", src: client, dst: server, flags: flags, seq: seq, ack: ack, payload: payload, process: 4}
	}
	from := func(at time.Duration, flags string, seq, ack uint32, payload string) segment {
		return segment{at: at, sent: "server", to: "client1", src: server, dst: client, flags: flags, seq: seq, ack: ack, payload: payload, process: 2}
	}
	s.send(2, to(100*ms, "S", 1000, 0, ""))
	s.send(2, from(100*ms+200*time.Microsecond, "SA", 5000, 1001, ""))
	s.send(2, to(101*ms, "A", 1001, 5001, ""))
	s.event(recorder.Event{At: 110 * ms, Kind: recorder.Start, Host: "server", Process: 2, Text: "worker starts"})
	s.event(recorder.Event{At: 150 * ms, Kind: recorder.Fault, Host: "server", Span: 1, Text: "loss of 10 % begins"})
	lost := to(200*ms, "PA", 1001, 5001, "hello\r\n")
	lost.lost, lost.marks = true, []string{"lost"}
	s.send(2, lost)
	s.event(recorder.Event{At: 300 * ms, Kind: recorder.Signal, Host: "server", Process: 2, Text: "SIGSTOP to worker"})
	again := to(410*ms, "PA", 1001, 5001, "hello\r\n")
	again.marks = []string{"retransmission"}
	s.send(2, again)
	s.send(2, from(411*ms, "PA", 5001, 1008, "hello\r\n"))
	s.event(recorder.Event{At: 411 * ms, Kind: recorder.Output, Host: "server", Process: 2, Text: "said hello\nand\x00more"})
	s.event(recorder.Event{At: 411 * ms, Kind: recorder.Output, Host: "server", Process: 2, Text: "=a line"})
	s.event(recorder.Event{At: 420 * ms, Kind: recorder.Call, Host: "server", Process: 1, Text: "accept4: EINTR"})
	s.send(3, segment{at: 500 * ms, sent: "server", to: "server", src: "127.0.0.1:50000", dst: "127.0.0.1:7777", flags: "S", process: 1})
	s.send(2, to(700*ms, "FA", 1008, 5008, ""))
	s.event(recorder.Event{At: 701 * ms, Kind: recorder.Socket, Host: "server", Connection: 2, Text: "CLOSE_WAIT"})
	s.Focus = s.event(recorder.Event{At: 900 * ms, Kind: recorder.Exit, Host: "server", Process: 2, Text: "worker is a zombie"})
	s.event(recorder.Event{At: 1900 * ms, Kind: recorder.Wait, Host: "server", Span: 4, Text: "a zombie is there"})
	s.event(recorder.Event{At: 2000 * ms, Kind: recorder.Verdict, Text: "fail: worker[42] is a zombie"})
	return s.Recording
}

// hostile are texts that a subject may write.
var hostile = []string{
	"", "=", "\n", "\n\n", "MESSAGE=x", "a\x00b", "\xff\xfe", "__REALTIME_TIMESTAMP=1\n", "\r\n", "\t", "\x1b[31m", "\u202egnp", "\u2028", "</script>",
	"\x00\x00\x00\x00", "ends in a newline\n", "𝄞", "\xf0\x9d\x84",
}

// randomRecording makes a recording that keeps the order of events and the numbering of IDs, and
// nothing else: states are out of order, IDs point nowhere, spans end before they begin.
func randomRecording(t testing.TB, seed uint64) recorder.Recording {
	rnd := rand.New(rand.NewPCG(seed, 12))
	text := func() string {
		if rnd.IntN(3) == 0 {
			return hostile[rnd.IntN(len(hostile))]
		}
		return fmt.Sprintf("text %d", rnd.IntN(1000))
	}
	most := []int{20, 3000, 1e9}[seed%3] // in some, much is at the same time
	at := func() time.Duration { return time.Duration(rnd.IntN(most)) }
	ended := func(began time.Duration) time.Duration {
		switch rnd.IntN(4) {
		case 0:
			return 0
		case 1:
			return at()
		}
		return began + at()
	}
	states := func(names ...string) []recorder.State {
		var all []recorder.State
		for range rnd.IntN(5) {
			all = append(all, recorder.State{At: at(), Name: names[rnd.IntN(len(names))]})
		}
		return all
	}
	s := &story{t: t, Recording: recorder.Recording{
		Schema: recorder.Schema, Name: text(), Began: time.Unix(int64(rnd.IntN(2e9)), int64(rnd.IntN(1e9))), Length: at(), Seed: rnd.Uint64(),
	}}
	hosts := []string{"server", "client1", text()}
	for _, name := range hosts[:rnd.IntN(4)] {
		h := recorder.Host{Name: name}
		for i := range rnd.IntN(3) {
			h.Interfaces = append(h.Interfaces, recorder.Interface{Name: fmt.Sprintf("eth%d", i), Addresses: []string{text()}, Peer: text()})
		}
		s.Hosts = append(s.Hosts, h)
	}
	host := func() string { return append(hosts, "")[rnd.IntN(4)] }
	for i := range rnd.IntN(10) {
		began := at()
		s.Processes = append(s.Processes, recorder.Process{
			ID: i + 1, Parent: rnd.IntN(i + 1), Host: host(), Name: text(), PID: rnd.IntN(5), Began: began, Ended: ended(began),
			States: states("runs", "stopped", "zombie", text()), Exit: text(),
		})
	}
	for i := range rnd.IntN(10) {
		began := at()
		c := recorder.Connection{ID: i + 1, Began: began, Ended: ended(began)}
		for _, side := range []*recorder.Endpoint{&c.Client, &c.Server} {
			*side = recorder.Endpoint{Host: host(), Address: text(), States: states("ESTABLISHED", "TIME_WAIT", "gone")}
		}
		s.Connections = append(s.Connections, c)
	}
	for i := range rnd.IntN(10) {
		began := at()
		kinds := []recorder.Kind{recorder.Fault, recorder.Storm, recorder.Wait, recorder.Kind(text())}
		s.Spans = append(s.Spans, recorder.Span{ID: i + 1, Kind: kinds[rnd.IntN(4)], Hosts: []string{host()}, Name: text(), Began: began, Ended: ended(began), Error: text()})
	}
	kinds := []recorder.Kind{recorder.Note, recorder.Start, recorder.Exit, recorder.Stop, recorder.Signal, recorder.Fault, recorder.Storm,
		recorder.Wait, recorder.Call, recorder.Socket, recorder.Segment, recorder.Output, recorder.Verdict}
	var times []time.Duration
	for range rnd.IntN(60) {
		times = append(times, at())
	}
	slices.Sort(times)
	for _, now := range times {
		e := recorder.Event{At: now, Kind: kinds[rnd.IntN(len(kinds))], Host: host(), Process: rnd.IntN(12), Connection: rnd.IntN(12), Span: rnd.IntN(12), Text: text()}
		if e.Kind == recorder.Segment && rnd.IntN(8) > 0 {
			e.Packet = &recorder.Packet{From: host(), To: host(), Side: []string{"", "client", "server", text()}[rnd.IntN(4)], Took: at() - 100, Flags: text(), Bytes: rnd.IntN(2000), First: text(), Marks: []string{text()}}
		}
		id := s.event(e)
		for range rnd.IntN(3) {
			data := make([]byte, rnd.IntN(200))
			for i := range data {
				data[i] = byte(rnd.Uint32())
			}
			s.Frames = append(s.Frames, recorder.Frame{
				At: now + at(), Host: host(), Interface: []string{"eth0", "lo", text()}[rnd.IntN(3)], Sent: rnd.IntN(2) == 0,
				Length: rnd.IntN(3000), Data: data, Process: rnd.IntN(12), Event: id * rnd.IntN(2),
			})
		}
	}
	s.Focus = rnd.IntN(len(times) + 2)
	return s.Recording
}

// little reads numbers of a block.
func little(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
