// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forkrig/recorder"
	"forkrig/rig"
)

func capture(t testing.TB, r recorder.Recording) []byte {
	var b bytes.Buffer
	require.NoError(t, r.WritePcapng(&b))
	return b.Bytes()
}

// block is one block of a pcapng file.
type block struct {
	kind uint32
	body []byte
}

// blocks cuts a pcapng file into its blocks, and sees that the lengths before and behind each
// are the same.
func blocks(t testing.TB, file []byte) []block {
	var all []block
	for len(file) > 0 {
		require.GreaterOrEqual(t, len(file), 12)
		length := little(file[4:])
		require.True(t, length%4 == 0 && length >= 12 && int(length) <= len(file), "block %d is of %d bytes", len(all), length)
		require.Equal(t, length, little(file[length-4:]))
		all = append(all, block{little(file), file[8 : length-4]})
		file = file[length:]
	}
	return all
}

const (
	interfaceBlock = 1
	packetBlock    = 6
	journalBlock   = 9
)

// packet is a packet as pcapgo's own reader returns it.
type packet struct {
	at       time.Time
	on       string // the interface
	length   int
	data     []byte
	outbound bool
	comment  string
	id       uint64
}

// packets reads a capture with the reader of pcapgo, which knows no journal.
func packets(t testing.TB, file []byte) []packet {
	reader, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	var all []packet
	for {
		data, about, options, err := reader.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		on, err := reader.Interface(about.InterfaceIndex)
		require.NoError(t, err)
		require.Equal(t, layers.LinkTypeEthernet, on.LinkType)
		p := packet{at: about.Timestamp, on: on.Name, length: about.Length, data: data, comment: strings.Join(options.Comments, "|")}
		require.NotNil(t, options.Flags)
		switch options.Flags.Direction {
		case pcapgo.NgEpbFlagDirectionOutbound:
			p.outbound = true
		default:
			require.Equal(t, pcapgo.NgEpbFlagDirectionInbound, options.Flags.Direction)
		}
		if options.PacketID != nil {
			p.id = *options.PacketID
		}
		all = append(all, p)
	}
}

func TestPcapngHasPacketsOfBothEnds(t *testing.T) {
	r := forkingServer(t)
	got := packets(t, capture(t, r))
	require.Len(t, got, len(r.Frames))
	first, second := got[0], got[1]
	assert.Equal(t, "client1:eth0", first.on)
	assert.True(t, first.outbound)
	assert.Equal(t, r.Began.Add(100*ms), first.at.UTC())
	assert.Equal(t, "#e3, client[42] on client1", first.comment)
	assert.EqualValues(t, 3, first.id)
	assert.Equal(t, "server:eth0", second.on)
	assert.False(t, second.outbound)
	assert.Equal(t, r.Began.Add(100*ms+50*time.Microsecond), second.at.UTC())
	assert.EqualValues(t, 3, second.id)
	lost := slices.IndexFunc(got, func(p packet) bool { return strings.HasSuffix(p.comment, ", lost") })
	require.Positive(t, lost)
	assert.NotEqual(t, got[lost].id, got[lost+1].id, "a lost packet is there once")
	for _, p := range got {
		assert.NotEmpty(t, p.data)
	}
}

func TestPcapngKeepsTheLength(t *testing.T) {
	r := recorder.Recording{Frames: []recorder.Frame{
		{Host: "a", Interface: "eth0", Length: 1500, Data: make([]byte, 64)},
		{Host: "a", Interface: "eth0", Length: 0, Data: make([]byte, 64)},
		{Host: "a", Interface: "eth0", Length: -1},
		{Host: "a", Interface: "eth0", Length: 1 << 20, Data: make([]byte, 1<<20)},
	}}
	got := packets(t, capture(t, r))
	require.Len(t, got, 4)
	for i, want := range []struct{ length, data int }{{1500, 64}, {64, 64}, {0, 0}, {1 << 20, 256 << 10}} {
		assert.Equal(t, want.length, got[i].length)
		assert.Len(t, got[i].data, want.data)
	}
}

// TestPcapngNamesInterfaces sees an interface for each end of a link, whether it has frames or
// not, and the loopback of the host that used it.
func TestPcapngNamesInterfaces(t *testing.T) {
	reader, err := pcapgo.NewNgReader(bytes.NewReader(capture(t, forkingServer(t))), pcapgo.DefaultNgReaderOptions)
	require.NoError(t, err)
	for {
		if _, _, err := reader.ReadPacketData(); err != nil {
			break
		}
	}
	var got []string
	for i := range reader.NInterfaces() {
		on, err := reader.Interface(i)
		require.NoError(t, err)
		got = append(got, on.Name+": "+on.Comment)
	}
	assert.Equal(t, []string{
		"server:eth0: host server, 10.0.0.1/24 fd00::1/64, link to client1",
		"client1:eth0: host client1, 10.0.0.2/24, link to server",
		"server:lo: host server, loopback",
	}, got)
}

func TestPcapngOfNothing(t *testing.T) {
	for _, r := range []recorder.Recording{
		{},
		{Began: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Began: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Events: []recorder.Event{{ID: 1, Kind: recorder.Note, Text: "alone", At: -1}}},
		{Events: []recorder.Event{{ID: 1, Kind: recorder.Note, Text: "late", At: 1<<63 - 1}}, Began: time.Now()},
	} {
		file := capture(t, r)
		assert.Empty(t, packets(t, file))
		assert.Len(t, blocks(t, file), 2+len(r.Events))
	}
}

func TestPcapngOfAnUnknownTime(t *testing.T) {
	for _, began := range []time.Time{{}, time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)} {
		r := recorder.Recording{Began: began, Frames: []recorder.Frame{{At: 5, Host: "a", Interface: "lo"}}}
		assert.Equal(t, time.Unix(0, 5).UTC(), packets(t, capture(t, r))[0].at.UTC(), "%v", began)
	}
}

// TestPcapngEntries looks at the fields of some entries.
func TestPcapngEntries(t *testing.T) {
	r := forkingServer(t)
	entries := map[string]string{} // by the event
	for _, b := range blocks(t, capture(t, r)) {
		if b.kind == journalBlock {
			_, id, _ := strings.Cut(string(b.body), "\nFORKRIG_EVENT=#")
			id, _, _ = strings.Cut(id, "\n")
			entries[id] = string(b.body)
		}
	}
	for id, want := range map[int][]string{
		1:             {"__REALTIME_TIMESTAMP=1772366400123456\n__MONOTONIC_TIMESTAMP=0\n_BOOT_ID=", "\nPRIORITY=6\n", "\nSYSLOG_IDENTIFIER=forkrig\n"},
		7:             {"\nPRIORITY=5\n", "\nFORKRIG_KIND=fault\n", "\nFORKRIG_SPAN=1\nMESSAGE=loss of 10 % begins\n"},
		9:             {"\n__MONOTONIC_TIMESTAMP=300000\n", "\nPRIORITY=5\n_PID=42\n_COMM=worker\n_HOSTNAME=server\nSYSLOG_IDENTIFIER=forkrig\n", "\nFORKRIG_PROCESS=2\n"},
		12:            {"\nPRIORITY=6\n", "\nSYSLOG_IDENTIFIER=worker\n", "\nMESSAGE\n\x13\x00\x00\x00\x00\x00\x00\x00said hello\nand\x00more\n"},
		17:            {"\nFORKRIG_CONNECTION=2\n"},
		r.Focus:       {"\nPRIORITY=3\n"},
		r.Focus + 1:   {"\nPRIORITY=4\n"},
		len(r.Events): {"\nPRIORITY=4\n"},
	} {
		for _, part := range want {
			assert.Contains(t, entries[fmt.Sprintf("e%d", id)], part)
		}
	}
}

// TestPcapngPutsTheJournalBetweenPackets compares the order of blocks with that of time.
func TestPcapngPutsTheJournalBetweenPackets(t *testing.T) {
	r := forkingServer(t)
	var got []string
	for _, b := range blocks(t, capture(t, r)) {
		switch b.kind {
		case journalBlock:
			entry := string(b.body)
			assert.True(t, strings.HasPrefix(entry, "__REALTIME_TIMESTAMP=17723664"), "%q", entry)
			_, id, _ := strings.Cut(entry, "\nFORKRIG_EVENT=#")
			id, _, _ = strings.Cut(id, "\n")
			got = append(got, id)
		case packetBlock:
			got = append(got, "packet")
		}
	}
	type moment struct {
		at   time.Duration
		what string
	}
	var want []moment
	for _, e := range r.Events {
		if e.Kind != recorder.Segment {
			want = append(want, moment{e.At, fmt.Sprintf("e%d", e.ID)})
		}
	}
	for _, f := range r.Frames {
		want = append(want, moment{f.At, "packet"})
	}
	slices.SortStableFunc(want, func(a, b moment) int { return int(a.at - b.at) })
	var names []string
	for _, m := range want {
		names = append(names, m.what)
	}
	assert.Equal(t, names, got)
}

// TestPcapngTellsPacketsWithoutFrames: a recording that was read from JSON has no frames.
func TestPcapngTellsPacketsWithoutFrames(t *testing.T) {
	r := forkingServer(t)
	r.Frames = nil
	entries := 0
	for _, b := range blocks(t, capture(t, r)) {
		if b.kind == journalBlock {
			entries++
		}
	}
	assert.Equal(t, len(r.Events), entries)
}

// TestSeenBy: the server saw no packet that was lost on the way, but its capture tells of it;
// the conversation of others is not there.
func TestSeenBy(t *testing.T) {
	r := forkingServer(t)
	story := &story{t: t, Recording: r}
	other := story.send(0, segment{at: 2000 * ms, sent: "client2", to: "client3", src: "10.0.9.1:1", dst: "10.0.9.2:2", flags: "S"})
	r = story.Recording
	whole := len(r.Events)
	seen := r.SeenBy("server")
	assert.Len(t, r.Events, whole, "the recording itself stays")
	assert.False(t, slices.ContainsFunc(seen.Events, func(e recorder.Event) bool { return e.ID == other }))
	assert.Len(t, seen.Events, whole-1)
	lost := 0
	for _, b := range blocks(t, capture(t, seen)) {
		if b.kind == journalBlock && bytes.Contains(b.body, []byte("FORKRIG_KIND=packet\n")) {
			assert.Contains(t, string(b.body), "MESSAGE=10.0.0.2:40000 > 10.0.0.1:6666 PA")
			lost++
		}
	}
	assert.Equal(t, 1, lost)
	ids := map[uint64]bool{}
	for _, p := range packets(t, capture(t, seen)) {
		assert.False(t, ids[p.id], "packet %d is there twice", p.id)
		ids[p.id] = true
	}
	assert.Len(t, ids, 7)
	assert.Empty(t, r.SeenBy("nobody").Frames)
}

func TestPcapngOfHostileTexts(t *testing.T) {
	texts := append([]string{strings.Repeat("x", 1<<20), strings.Repeat("\xff\n", 1<<19), strings.Repeat("𝄞", 1<<18)}, hostile...)
	for i, text := range texts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			r := recorder.Recording{
				Name: text, Kernel: text,
				Outcome:   recorder.Outcome{Verdict: text, Expected: text, Observed: text, Why: text},
				Hosts:     []recorder.Host{{Name: text, Interfaces: []recorder.Interface{{Name: text, Addresses: []string{text, text}, Peer: text}}}},
				Processes: []recorder.Process{{ID: 1, Host: text, Name: text, PID: 7}},
				Events: []recorder.Event{
					{ID: 1, Kind: recorder.Output, Host: text, Process: 1, Text: text},
					{ID: 2, Kind: recorder.Segment, Text: text, Packet: &recorder.Packet{Marks: []string{text, text}}},
					{ID: 3, Kind: recorder.Kind(text), Text: text},
				},
				Frames: []recorder.Frame{
					{Host: text, Interface: text, Process: 1, Event: 2, Length: len(text), Data: []byte(text)},
					{Host: text, Interface: "lo", Process: 9, Event: 9},
				},
			}
			file := capture(t, r)
			assert.Len(t, packets(t, file), 2)
			kinds := map[uint32]int{}
			for _, b := range blocks(t, file) {
				kinds[b.kind]++
				if b.kind == journalBlock && len(text) > 0 {
					want := text[:min(len(text), 240<<10)]
					assert.True(t, bytes.Contains(b.body, []byte(want)), "the entry has the text")
				}
			}
			assert.Equal(t, 2, kinds[journalBlock])
			assert.Less(t, len(file), 3<<19)
		})
	}
}

// TestPcapngOfRandomRecordings reads back all packets of whatever may be recorded.
func TestPcapngOfRandomRecordings(t *testing.T) {
	for seed := range uint64(500) {
		r := randomRecording(t, seed)
		file := capture(t, r)
		journal, ends := 0, 0
		for _, b := range blocks(t, file) {
			switch b.kind {
			case journalBlock:
				journal++
			case interfaceBlock:
				ends++
			}
		}
		want := slices.Clone(r.Frames)
		slices.SortStableFunc(want, func(a, b recorder.Frame) int { return int(a.At - b.At) })
		got := packets(t, file)
		require.Len(t, got, len(want), "seed %d", seed)
		framed := map[int]bool{}
		for i, f := range want {
			framed[f.Event] = true
			require.True(t, bytes.Equal(f.Data, got[i].data), "seed %d: frame %d", seed, i)
			require.Equal(t, max(f.Length, len(f.Data)), got[i].length, "seed %d: frame %d", seed, i)
			require.Equal(t, f.Sent, got[i].outbound, "seed %d: frame %d", seed, i)
			require.Equal(t, r.Began.Add(f.At).UnixNano(), got[i].at.UnixNano(), "seed %d: frame %d", seed, i)
		}
		entries := 0
		for _, e := range r.Events {
			if e.Kind != recorder.Segment || !framed[e.ID] {
				entries++
			}
		}
		require.Equal(t, entries, journal, "seed %d", seed)
		require.Positive(t, ends, "seed %d", seed)
	}
}

// failingWriter takes so many bytes and then fails.
type failingWriter struct{ room int }

var errFull = errors.New("no space left")

func (w *failingWriter) Write(b []byte) (int, error) {
	if len(b) > w.room {
		return w.room, errFull
	}
	w.room -= len(b)
	return len(b), nil
}

func TestExportsReturnTheErrorOfTheWriter(t *testing.T) {
	r := forkingServer(t)
	for _, room := range []int{0, 1, 1000, 4000} {
		assert.ErrorIs(t, r.WritePcapng(&failingWriter{room}), errFull, "%d bytes", room)
		assert.ErrorIs(t, r.WritePerfetto(&failingWriter{room}), errFull, "%d bytes", room)
	}
}

// tshark reads a capture with Wireshark's own reader: the fields of the packets that a filter
// takes.
func tshark(t *testing.T, file []byte, filter string, fields ...string) [][]string {
	rig.NeedPrograms(t, "tshark")
	path := filepath.Join(t.TempDir(), "lab.pcapng")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	arguments := []string{"-n", "-r", path, "-T", "fields", "-E", "separator=/t"}
	if filter != "" {
		arguments = append(arguments, "-Y", filter)
	}
	for _, f := range fields {
		arguments = append(arguments, "-e", f)
	}
	command := exec.CommandContext(t.Context(), "tshark", arguments...)
	command.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "TZ=UTC")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, "%s", &stderr)
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

func TestTsharkReadsPackets(t *testing.T) {
	r := forkingServer(t)
	rows := tshark(t, capture(t, r), "frame.number && tcp", "frame.interface_name", "frame.interface_description", "frame.comment",
		"frame.packet_flags_direction", "frame.time_epoch", "frame.len", "frame.cap_len", "ip.src", "tcp.checksum.status")
	require.Len(t, rows, len(r.Frames))
	assert.Equal(t, []string{"client1:eth0", "#e3, client[42] on client1", "1772366400.223456789", "10.0.0.2"},
		[]string{rows[0][0], rows[0][2], rows[0][4], rows[0][7]})
	sent, came := rows[0][3], rows[1][3]
	assert.NotEqual(t, sent, came, "directions")
	for i, f := range r.Frames {
		assert.Equal(t, f.Host+":"+f.Interface, rows[i][0])
		assert.Equal(t, f.Sent, rows[i][3] == sent)
		assert.Equal(t, fmt.Sprint(f.Length), rows[i][5])
		assert.Equal(t, fmt.Sprint(len(f.Data)), rows[i][6])
	}
}

func TestTsharkReadsTheJournal(t *testing.T) {
	r := forkingServer(t)
	rows := tshark(t, capture(t, r), "systemd_journal", "frame.number", "systemd_journal.message", "systemd_journal.hostname", "systemd_journal.pid",
		"systemd_journal.comm", "systemd_journal.syslog_id", "systemd_journal.priority", "systemd_journal.realtime_timestamp")
	var want []recorder.Event
	for _, e := range r.Events {
		if e.Kind != recorder.Segment {
			want = append(want, e)
		}
	}
	require.Len(t, rows, len(want))
	for i, e := range want {
		if !strings.ContainsAny(e.Text, "\n\x00") {
			assert.Equal(t, e.Text, rows[i][1])
		}
		assert.Equal(t, e.Host, rows[i][2])
	}
	said := slices.IndexFunc(rows, func(row []string) bool { return strings.Contains(row[1], "said hello") })
	require.Positive(t, said)
	assert.Equal(t, []string{"server", "42", "worker", "worker"}, rows[said][2:6])
	assert.Equal(t, "=a line", rows[said+1][1])

	// All of them, packets and entries, are in order.
	rows = tshark(t, capture(t, r), "", "frame.time_epoch", "_ws.col.Protocol")
	require.Len(t, rows, len(want)+len(r.Frames))
	assert.True(t, slices.IsSortedFunc(rows, func(a, b []string) int {
		return strings.Compare(a[0][:len("1772366400.223456")], b[0][:len("1772366400.223456")]) // entries have microseconds
	}), "%v", rows)
}

func TestTsharkFindsTheRetransmission(t *testing.T) {
	r := forkingServer(t)
	rows := tshark(t, capture(t, r.SeenBy("client1")), "tcp.analysis.retransmission || tcp.analysis.out_of_order || tcp.analysis.duplicate_ack", "frame.comment", "frame.interface_name")
	require.Len(t, rows, 1)
	assert.Contains(t, rows[0][0], "retransmission")
	assert.Equal(t, "client1:eth0", rows[0][1])
	assert.Empty(t, tshark(t, capture(t, r.SeenBy("server")), "tcp.analysis.retransmission && tcp.port == 40000", "frame.number"), "the first one was lost")
	assert.Len(t, tshark(t, capture(t, r.SeenBy("server")), "tcp.port == 7777", "frame.number"), 1, "loopback")
}

// TestTsharkReadsHostileTexts sees that a megabyte, NUL and what is no UTF-8 stop neither the
// packets nor the entries behind them.
func TestTsharkReadsHostileTexts(t *testing.T) {
	r := recorder.Recording{Began: time.Unix(1772366400, 0), Name: strings.Repeat("\xff\x00", 1<<19)}
	for i, text := range append([]string{strings.Repeat("x", 1<<20), strings.Repeat("\xff\n", 1<<19)}, hostile...) {
		at := time.Duration(i) * ms
		r.Processes = append(r.Processes, recorder.Process{ID: i + 1, Host: text, Name: text, PID: i})
		r.Events = append(r.Events, recorder.Event{ID: i + 1, At: at, Kind: recorder.Output, Host: text, Process: i + 1, Text: text})
		r.Frames = append(r.Frames, recorder.Frame{At: at, Host: text, Interface: text, Process: i + 1, Event: i + 1, Length: 60, Data: make([]byte, 60)})
	}
	rows := tshark(t, capture(t, r), "", "frame.number", "systemd_journal.pid")
	require.Len(t, rows, len(r.Events)+len(r.Frames))
	for i := range r.Events {
		assert.Equal(t, []string{fmt.Sprint(2*i + 1), fmt.Sprint(i)}, rows[2*i])
		assert.Equal(t, []string{fmt.Sprint(2*i + 2), ""}, rows[2*i+1])
	}
}
