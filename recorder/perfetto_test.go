// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"forkrig/recorder"
)

// field is a field of a message of protobuf, by its number and its wire type.
type field struct {
	number protowire.Number
	wire   protowire.Type
}

const (
	varint  = protowire.VarintType
	fixed64 = protowire.Fixed64Type
	length  = protowire.BytesType
)

// walk calls f for each field of a message. A field that is not in known is an error, and so is
// one of another wire type.
func walk(message []byte, known map[field]string, f func(name string, number uint64, value []byte) error) error {
	for len(message) > 0 {
		number, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var v uint64
		var b []byte
		switch wire {
		case varint:
			v, n = protowire.ConsumeVarint(message)
		case fixed64:
			v, n = protowire.ConsumeFixed64(message)
		case length:
			b, n = protowire.ConsumeBytes(message)
		default:
			return fmt.Errorf("field %d has wire type %d", number, wire)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		name := known[field{number, wire}]
		if name == "" {
			return fmt.Errorf("field %d with wire type %d is not known", number, wire)
		}
		if err := f(name, v, b); err != nil {
			return err
		}
	}
	return nil
}

var (
	packetFields = map[field]string{{6, length}: "clock_snapshot", {8, varint}: "timestamp", {10, varint}: "sequence", {11, length}: "event",
		{12, length}: "interned_data", {13, varint}: "flags", {60, length}: "track", {87, varint}: "first"}
	trackFields = map[field]string{{1, varint}: "uuid", {2, length}: "name", {5, varint}: "parent", {8, length}: "counter",
		{11, varint}: "ordering", {12, varint}: "rank", {14, length}: "description", {15, varint}: "merging"}
	counterFields = map[field]string{{6, length}: "unit"}
	eventFields   = map[field]string{{4, length}: "annotation", {9, varint}: "type", {10, varint}: "name_iid", {11, varint}: "track", {22, length}: "category",
		{23, length}: "name", {30, varint}: "value", {47, fixed64}: "flow", {48, fixed64}: "ending_flow"}
	annotationFields = map[field]string{{4, varint}: "int", {6, length}: "string", {10, length}: "name"}
	snapshotFields   = map[field]string{{1, length}: "clock"}
	clockFields      = map[field]string{{1, varint}: "id", {2, varint}: "timestamp"}
)

// tracePacket is a packet of a trace.
type tracePacket struct {
	timestamp, sequence, flags uint64
	timed                      bool
	clocks                     map[uint64]uint64
	track                      *traceTrack
	event                      *traceEvent
}

type traceTrack struct {
	uuid, parent uint64
	name         string
	counter      bool
	single       bool // it is not merged with others of its name
}

type traceEvent struct {
	kind, track    uint64
	name, category string
	iid            bool
	value          *int64
	flows, endings []uint64
	notes          map[string]string
}

func text(b []byte) (string, error) {
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", fmt.Errorf("%.40q is no text", b)
	}
	return string(b), nil
}

func decodeTrace(trace []byte) ([]tracePacket, error) {
	var all []tracePacket
	err := walk(trace, map[field]string{{1, length}: "packet"}, func(_ string, _ uint64, message []byte) error {
		var p tracePacket
		err := walk(message, packetFields, func(name string, number uint64, value []byte) (err error) {
			switch name {
			case "timestamp":
				p.timestamp, p.timed = number, true
			case "sequence":
				p.sequence = number
			case "flags":
				p.flags = number
			case "event":
				p.event, err = decodeEvent(value)
			case "track":
				p.track, err = decodeTrack(value)
			case "clock_snapshot":
				p.clocks = map[uint64]uint64{}
				err = walk(value, snapshotFields, func(_ string, _ uint64, clock []byte) error {
					var id uint64
					return walk(clock, clockFields, func(name string, number uint64, _ []byte) error {
						if name == "id" {
							id = number
						} else {
							p.clocks[id] = number
						}
						return nil
					})
				})
			}
			return err
		})
		all = append(all, p)
		return err
	})
	return all, err
}

func decodeTrack(message []byte) (*traceTrack, error) {
	var k traceTrack
	err := walk(message, trackFields, func(name string, number uint64, value []byte) (err error) {
		switch name {
		case "uuid":
			k.uuid = number
		case "parent":
			k.parent = number
		case "name":
			k.name, err = text(value)
		case "description":
			_, err = text(value)
		case "merging":
			k.single = number == 2
		case "counter":
			k.counter = true
			err = walk(value, counterFields, func(_ string, _ uint64, unit []byte) error {
				_, err := text(unit)
				return err
			})
		}
		return err
	})
	return &k, err
}

func decodeEvent(message []byte) (*traceEvent, error) {
	e := traceEvent{notes: map[string]string{}}
	err := walk(message, eventFields, func(name string, number uint64, value []byte) (err error) {
		switch name {
		case "type":
			e.kind = number
		case "track":
			e.track = number
		case "name":
			e.name, err = text(value)
		case "name_iid":
			e.iid = true
		case "category":
			e.category, err = text(value)
		case "value":
			n := int64(number)
			e.value = &n
		case "flow":
			e.flows = append(e.flows, number)
		case "ending_flow":
			e.endings = append(e.endings, number)
		case "annotation":
			var key, said string
			err = walk(value, annotationFields, func(name string, number uint64, value []byte) (err error) {
				switch name {
				case "name":
					key, err = text(value)
				case "string":
					said, err = text(value)
				case "int":
					said = fmt.Sprint(int64(number))
				}
				return err
			})
			e.notes[key] = said
		}
		return err
	})
	return &e, err
}

// traceSlice is a slice or, where begin and end are the same and it has no depth of its own, an
// instant.
type traceSlice struct {
	path       string // of the track: its name behind those of its parents
	event      *traceEvent
	begin, end uint64
	depth      int
}

type traceSample struct {
	at    uint64
	value int64
}

// checkedTrace is what a trace shows.
type checkedTrace struct {
	slices, instants []traceSlice
	counters         map[string][]traceSample
	tracks           []string // their paths
	flows            int
}

// checkTrace reads a trace and checks what Perfetto's documentation and its importer demand: see
// docs/reference/synthetic-track-event.md and slice_tracker.cc there.
func checkTrace(trace []byte) (*checkedTrace, error) {
	const (
		begin, end, instant, counter = 1, 2, 3, 4
		cleared                      = 1
		maxDepth                     = 512
	)
	packets, err := decodeTrace(trace)
	if err != nil {
		return nil, err
	}
	if len(packets) == 0 || packets[0].flags&cleared == 0 {
		return nil, errors.New("the first packet does not clear the state of its sequence")
	}
	type open struct {
		traceSlice
		instant bool
	}
	seen := &checkedTrace{counters: map[string][]traceSample{}}
	tracks, stacks, paths := map[uint64]*traceTrack{}, map[uint64][]open{}, map[uint64]string{}
	last := map[uint64]uint64{} // by sequence
	flows := map[uint64]int{}   // 1 is open, 2 is ended
	for i, p := range packets {
		if p.sequence == 0 {
			return nil, fmt.Errorf("packet %d is of no sequence", i)
		}
		if k := p.track; k != nil {
			switch parent := tracks[k.parent]; {
			case k.uuid == 0 && k.parent == 0:
				continue // the trace itself
			case tracks[k.uuid] != nil:
				return nil, fmt.Errorf("packet %d: track %d is there twice", i, k.uuid)
			case k.parent != 0 && parent == nil:
				return nil, fmt.Errorf("packet %d: the parent of track %d is not known", i, k.uuid)
			case k.parent != 0 && parent.counter:
				return nil, fmt.Errorf("packet %d: the parent of track %d is a counter", i, k.uuid)
			case !k.single:
				return nil, fmt.Errorf("packet %d: track %d may be merged with others, whose slices overlap", i, k.uuid)
			case k.name == "":
				return nil, fmt.Errorf("packet %d: track %d has no name", i, k.uuid)
			}
			tracks[k.uuid] = k
			paths[k.uuid] = strings.TrimPrefix(paths[k.parent]+"/"+k.name, "/")
			seen.tracks = append(seen.tracks, paths[k.uuid])
			continue
		}
		e := p.event
		if e == nil {
			continue
		}
		k := tracks[e.track]
		switch {
		case k == nil:
			return nil, fmt.Errorf("packet %d: track %d is not known", i, e.track)
		case !p.timed:
			return nil, fmt.Errorf("packet %d has no time", i)
		case p.timestamp < last[p.sequence]:
			return nil, fmt.Errorf("packet %d is before the one before it", i)
		case e.iid:
			return nil, fmt.Errorf("packet %d has an interned name", i)
		case k.counter != (e.kind == counter):
			return nil, fmt.Errorf("packet %d: an event of type %d on track %q", i, e.kind, k.name)
		case (e.value != nil) != (e.kind == counter):
			return nil, fmt.Errorf("packet %d: type %d and a value, or a counter and none", i, e.kind)
		case e.name == "" && e.kind == instant:
			return nil, fmt.Errorf("packet %d is an instant without a name", i)
		}
		last[p.sequence] = p.timestamp
		for _, flow := range e.flows {
			if flows[flow] != 0 {
				return nil, fmt.Errorf("packet %d: flow %d begins twice", i, flow)
			}
			flows[flow] = 1
		}
		for _, flow := range e.endings {
			if flows[flow] != 1 {
				return nil, fmt.Errorf("packet %d: flow %d ends and is not open", i, flow)
			}
			flows[flow] = 2
		}
		// What has ended leaves the stack; instants leave it later than their time, unless a
		// slice is next.
		stack := stacks[e.track]
		for len(stack) > 0 && stack[len(stack)-1].instant && (stack[len(stack)-1].begin < p.timestamp || e.kind != instant) {
			stack = stack[:len(stack)-1]
		}
		now := traceSlice{path: paths[e.track], event: e, begin: p.timestamp, end: p.timestamp, depth: len(stack)}
		switch e.kind {
		case begin:
			stack = append(stack, open{traceSlice: now})
		case instant:
			stack = append(stack, open{traceSlice: now, instant: true})
			seen.instants = append(seen.instants, now)
		case end:
			if len(stack) == 0 {
				return nil, fmt.Errorf("packet %d ends what did not begin on track %q", i, k.name)
			}
			top := stack[len(stack)-1].traceSlice
			if e.name != "" && e.name != top.event.name {
				return nil, fmt.Errorf("packet %d ends %q while %q is open in it", i, e.name, top.event.name)
			}
			stack = stack[:len(stack)-1]
			top.end = p.timestamp
			seen.slices = append(seen.slices, top)
		case counter:
			seen.counters[now.path] = append(seen.counters[now.path], traceSample{p.timestamp, *e.value})
		default:
			return nil, fmt.Errorf("packet %d is of type %d", i, e.kind)
		}
		if len(stack) > maxDepth {
			return nil, fmt.Errorf("packet %d is nested too deep on track %q", i, k.name)
		}
		stacks[e.track] = stack
	}
	for uuid, stack := range stacks {
		for _, o := range stack {
			if !o.instant {
				return nil, fmt.Errorf("%q does not end on track %q", o.event.name, tracks[uuid].name)
			}
		}
	}
	for flow, state := range flows {
		if state != 2 {
			return nil, fmt.Errorf("flow %d does not end", flow)
		}
	}
	seen.flows = len(flows)
	return seen, nil
}

// message builds a message of protobuf from numbers of fields and their values.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch value := fields[i+1].(type) {
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, varint), uint64(value))
		case uint64:
			b = protowire.AppendFixed64(protowire.AppendTag(b, number, fixed64), value)
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, number, length), value)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, number, length), value)
		}
	}
	return b
}

// TestCheckTraceBites sees that each rule finds the trace that breaks it.
func TestCheckTraceBites(t *testing.T) {
	first := message(10, 1, 13, 1)
	track := func(fields ...any) []byte { return message(10, 1, 60, append(message(15, 2), message(fields...)...)) }
	at := func(now int, fields ...any) []byte { return message(10, 1, 8, now, 11, message(fields...)) }
	plain, counter := track(1, 7, 2, "plain"), track(1, 8, 2, "counter", 8, message(6, "bytes"))
	begin := func(now int, name string) []byte { return at(now, 9, 1, 11, 7, 23, name) }
	end := func(now int, name ...any) []byte {
		fields := []any{9, 2, 11, 7}
		for _, n := range name {
			fields = append(fields, 23, n)
		}
		return at(now, fields...)
	}
	mark := func(now int, fields ...any) []byte {
		return at(now, append([]any{9, 3, 11, 7, 23, "mark"}, fields...)...)
	}
	deep := [][]byte{first, plain}
	for range 513 {
		deep = append(deep, mark(5))
	}
	const none = ""
	for name, test := range map[string]struct {
		packets [][]byte
		want    string
	}{
		"right": {[][]byte{first, plain, counter, begin(1, "a"), begin(1, "b"), mark(2, 47, uint64(5)), end(2, "b"), end(3), begin(3, "c"), end(3),
			mark(4, 48, uint64(5)), at(4, 9, 4, 11, 8, 30, 1)}, none},
		"no clear":              {[][]byte{plain}, "does not clear"},
		"undeclared track":      {[][]byte{first, begin(1, "a"), plain}, "track 7 is not known"},
		"undeclared parent":     {[][]byte{first, track(1, 9, 2, "x", 5, 7), plain}, "parent of track 9 is not known"},
		"child of a counter":    {[][]byte{first, counter, track(1, 9, 2, "x", 5, 8)}, "is a counter"},
		"track twice":           {[][]byte{first, plain, plain}, "twice"},
		"track without a name":  {[][]byte{first, track(1, 9)}, "no name"},
		"merged track":          {[][]byte{first, message(10, 1, 60, message(1, 7, 2, "plain"))}, "may be merged"},
		"end without a begin":   {[][]byte{first, plain, end(1)}, "did not begin"},
		"end twice":             {[][]byte{first, plain, begin(1, "a"), end(2), end(3)}, "did not begin"},
		"no end":                {[][]byte{first, plain, begin(1, "a")}, "does not end"},
		"partial overlap":       {[][]byte{first, plain, begin(1, "a"), begin(2, "b"), end(3, "a"), end(4, "b")}, `ends "a" while "b" is open`},
		"slice on a counter":    {[][]byte{first, counter, at(1, 9, 1, 11, 8, 23, "a")}, "an event of type 1"},
		"counter on a track":    {[][]byte{first, plain, at(1, 9, 4, 11, 7, 30, 1)}, "an event of type 4"},
		"counter without value": {[][]byte{first, counter, at(1, 9, 4, 11, 8)}, "a counter and none"},
		"slice with a value":    {[][]byte{first, plain, at(1, 9, 1, 11, 7, 23, "a", 30, 1)}, "and a value"},
		"no time":               {[][]byte{first, plain, message(10, 1, 11, message(9, 3, 11, 7, 23, "a"))}, "no time"},
		"time runs backwards":   {[][]byte{first, plain, mark(2), mark(1)}, "before the one before it"},
		"no sequence":           {[][]byte{first, message(60, message(1, 7, 2, "plain"))}, "of no sequence"},
		"interned name":         {[][]byte{first, plain, at(1, 9, 3, 11, 7, 10, 1)}, "interned"},
		"too deep":              {deep, "too deep"},
		"flow without an end":   {[][]byte{first, plain, mark(1, 47, uint64(5))}, "flow 5 does not end"},
		"flow ends first":       {[][]byte{first, plain, mark(1, 48, uint64(5)), mark(2, 47, uint64(5))}, "not open"},
		"flow begins twice":     {[][]byte{first, plain, mark(1, 47, uint64(5)), mark(2, 47, uint64(5))}, "twice"},
		"no type":               {[][]byte{first, plain, at(1, 11, 7)}, "of type 0"},
		"no UTF-8":              {[][]byte{first, track(1, 9, 2, "\xff")}, "is no text"},
		"NUL":                   {[][]byte{first, plain, mark(1, 4, message(10, "a", 6, "x\x00y"))}, "is no text"},
		"another wire type":     {[][]byte{first, track(1, "seven")}, "not known"},
		"another field":         {[][]byte{first, message(10, 1, 999, 1)}, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			var trace []byte
			for _, p := range test.packets {
				trace = append(trace, message(1, p)...)
			}
			_, err := checkTrace(trace)
			if test.want == none {
				assert.NoError(t, err)
				_, err = checkTrace(trace[:len(trace)-1])
				assert.Error(t, err, "cut")
				return
			}
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func perfetto(t testing.TB, r recorder.Recording) *checkedTrace {
	var b bytes.Buffer
	require.NoError(t, r.WritePerfetto(&b))
	seen, err := checkTrace(b.Bytes())
	require.NoError(t, err)
	return seen
}

// times says what a trace shows on one track, in milliseconds since the lab was made.
func (c *checkedTrace) times(r recorder.Recording, path string) []string {
	var all []string
	since := func(at uint64) string {
		return strings.TrimSuffix(time.Duration(int64(at)-r.Began.UnixNano()).String(), "ms")
	}
	for _, s := range c.slices {
		if s.path == path {
			all = append(all, fmt.Sprintf("%d %s %s-%s", s.depth, s.event.name, since(s.begin), since(s.end)))
		}
	}
	for _, s := range c.instants {
		if s.path == path {
			all = append(all, fmt.Sprintf("%s at %s", s.event.name, since(s.begin)))
		}
	}
	return all
}

func TestPerfettoShowsTheLab(t *testing.T) {
	r := forkingServer(t)
	seen := perfetto(t, r)
	const server = "host server"
	for path, want := range map[string][]string{
		"lab":                 {"0 reap IPv4 0s-2s", "here it went wrong: #e18 at 900"},
		"rig":                 {"the lab is made at 0s", "fail: worker[42] is a zombie at 2s"},
		server + "/server 41": {"1 runs 10-2s", "0 server 10-2s", "server starts at 10", "accept4: EINTR at 420"},
		server + "/worker 42": {
			"1 runs 110-300", "1 stopped 300-400", "1 runs 400-900", "1 zombie 900-2s", "0 worker 110-2s",
			"worker starts at 110", "SIGSTOP to worker at 300", "said hello and\ufffdmore at 411", "=a line at 411.000001", "worker is a zombie at 900",
		},
		server + "/worker 43":                                    {"1 runs 120-790", "1 zombie 790-800", "0 worker 120-800"},
		"connections/#1 listener 10.0.0.1:6666":                  {"0 #1 listener 10.0.0.1:6666 20-2s"},
		"connections/#1 listener 10.0.0.1:6666/server on server": {"0 LISTEN 20-2s"},
		"connections/#2 10.0.0.2:40000 to 10.0.0.1:6666/client on client1": {
			"0 SYN_SENT 100-101", "0 ESTABLISHED 101-700", "0 FIN_WAIT2 700-800", "0 TIME_WAIT 800-1.8s",
			"10.0.0.2:40000 > 10.0.0.1:6666 S at 100", "10.0.0.1:6666 > 10.0.0.2:40000 SA at 100.25", "10.0.0.2:40000 > 10.0.0.1:6666 A at 101",
			"10.0.0.2:40000 > 10.0.0.1:6666 PA at 200", "10.0.0.2:40000 > 10.0.0.1:6666 PA at 410", "10.0.0.1:6666 > 10.0.0.2:40000 PA at 411.05",
			"10.0.0.2:40000 > 10.0.0.1:6666 FA at 700",
		},
		"connections/#2 10.0.0.2:40000 to 10.0.0.1:6666/server on server": {
			"0 ESTABLISHED 101-700", "0 CLOSE_WAIT 700-800",
			"10.0.0.2:40000 > 10.0.0.1:6666 S at 100.05", "10.0.0.1:6666 > 10.0.0.2:40000 SA at 100.2", "10.0.0.2:40000 > 10.0.0.1:6666 A at 101.05",
			"10.0.0.2:40000 > 10.0.0.1:6666 PA at 410.05", "10.0.0.1:6666 > 10.0.0.2:40000 PA at 411", "10.0.0.2:40000 > 10.0.0.1:6666 FA at 700.05",
			"CLOSE_WAIT at 701",
		},
		"connections/#3 127.0.0.1:50000 to 127.0.0.1:7777":                  {"0 #3 127.0.0.1:50000 to 127.0.0.1:7777 500-500"},
		"connections/#3 127.0.0.1:50000 to 127.0.0.1:7777/client on server": {"127.0.0.1:50000 > 127.0.0.1:7777 S at 500"},
		"connections/#3 127.0.0.1:50000 to 127.0.0.1:7777/server on server": {"127.0.0.1:50000 > 127.0.0.1:7777 S at 500.05"},
		"storms": {"0 SIGCHLD 400-2s"},
	} {
		assert.Equal(t, want, seen.times(r, path), "%s", path)
	}
	assert.Equal(t, 7, seen.flows, "packets that came")
	assert.Equal(t, []string{"0 loss of 10 % 150-600", "loss of 10 % begins at 150"}, seen.times(r, "faults"))
	assert.Equal(t, []string{"0 delay of 20 ms 200-1s"}, seen.times(r, "faults 2"), "the two overlap")
	assert.NotContains(t, seen.tracks, "waits 2", "the one begins when the other ends")
}

func TestPerfettoCounts(t *testing.T) {
	r := forkingServer(t)
	seen := perfetto(t, r)
	const server = "host server"
	for path, want := range map[string]string{
		server + "/processes":               "0=0 10=1 110=2 120=3 800=2",
		server + "/zombies":                 "0=0 790=1 800=0 900=1",
		"open connections":                  "0=0 100=1 800=0",
		"host server/worker 43/descriptors": "0=0 130=5 500=4 800=0",
		"TIME_WAIT":                         "0=0 800=1 1800=0",
		"payload":                           "0=0 200=70 300=0 400=140 500=0",
	} {
		var got []string
		for _, s := range seen.counters[path] {
			got = append(got, fmt.Sprintf("%d=%d", (int64(s.at)-r.Began.UnixNano())/int64(ms), s.value))
		}
		assert.Equal(t, want, strings.Join(got, " "), path)
	}
}

// TestPerfettoSaysMore looks at the notes of some marks.
func TestPerfettoSaysMore(t *testing.T) {
	r := forkingServer(t)
	r.Events = append(r.Events, recorder.Event{ID: len(r.Events) + 1, At: 2 * time.Second, Kind: recorder.Output, Process: 2, Host: "server", Text: strings.Repeat("long ", 1<<18)})
	seen := perfetto(t, r)
	note := func(all []traceSlice, name string) map[string]string {
		i := slices.IndexFunc(all, func(s traceSlice) bool { return strings.HasPrefix(s.event.name, name) })
		require.GreaterOrEqual(t, i, 0, name)
		return all[i].event.notes
	}
	lab := note(seen.slices, "reap IPv4")
	assert.Equal(t, "fail", lab["verdict"])
	assert.Equal(t, "9223372036854775813", lab["seed"])
	assert.Equal(t, "accepted\nchild gone", lab["words"])
	assert.Equal(t, map[string]string{"event": "#e18", "focus": "here it went wrong"}, note(seen.instants, "worker is a zombie"))
	assert.Equal(t, "a zombie is there", note(seen.slices, "no zombie")["error"])
	assert.Equal(t, "not before the end of the recording", note(seen.slices, "SIGCHLD")["ended"])
	packet := note(seen.instants, "10.0.0.1:6666 > 10.0.0.2:40000 PA")
	assert.Equal(t, "7", packet["bytes"])
	assert.Equal(t, "hello\r\n", packet["first"])
	long := note(seen.instants, "long long")
	assert.Equal(t, strings.Repeat("long ", 1<<14)[:64<<10]+"…", long["text"])
}

// TestPerfettoKeepsInstantsApart: lines that are read at once have one time, and would be nested
// in each other.
func TestPerfettoKeepsInstantsApart(t *testing.T) {
	r := recorder.Recording{Began: time.Unix(1e9, 0)}
	for i := range 2000 {
		r.Events = append(r.Events, recorder.Event{ID: i + 1, At: 5, Kind: recorder.Output, Host: "server", Text: fmt.Sprint(i)})
	}
	seen := perfetto(t, r)
	require.Len(t, seen.instants, 2000)
	for i, s := range seen.instants {
		assert.Equal(t, fmt.Sprint(i), s.event.name)
		assert.EqualValues(t, 1e18+5+i, s.begin)
		assert.Zero(t, s.depth)
	}
}

// TestPerfettoOrdersStates: states are those within the life of a process, in order of time.
func TestPerfettoOrdersStates(t *testing.T) {
	r := recorder.Recording{Began: time.Unix(1e9, 0), Length: 100 * ms, Processes: []recorder.Process{{
		ID: 1, Host: "server", Name: "server", PID: 7, Began: 20 * ms, Ended: 60 * ms, States: []recorder.State{
			{At: 40 * ms, Name: "zombie"}, {At: 5 * ms, Name: "old"}, {At: 10 * ms, Name: "runs"}, {At: 70 * ms, Name: "late"}, {At: 40 * ms, Name: "short"},
		},
	}}}
	assert.Equal(t, []string{"1 runs 20-40", "1 zombie 40-40", "1 short 40-60", "0 server 20-60"}, perfetto(t, r).times(r, "host server/server 7"))
}

// TestPerfettoLastsUntilTheEnd: the lab and what had no end last as long as anything else.
func TestPerfettoLastsUntilTheEnd(t *testing.T) {
	for name, r := range map[string]recorder.Recording{
		"length":     {Length: 7},
		"packet":     {Events: []recorder.Event{{ID: 1, At: 3, Kind: recorder.Segment, Packet: &recorder.Packet{Took: 4}}}},
		"process":    {Processes: []recorder.Process{{ID: 1, Began: 1, Ended: 7}}},
		"state":      {Processes: []recorder.Process{{ID: 1, Began: 1, States: []recorder.State{{At: 7, Name: "zombie"}}}}},
		"connection": {Connections: []recorder.Connection{{ID: 1, Client: recorder.Endpoint{States: []recorder.State{{At: 7}}}}}},
		"span":       {Spans: []recorder.Span{{ID: 1, Kind: recorder.Wait, Began: 7}}},
	} {
		seen := perfetto(t, r)
		lab := slices.IndexFunc(seen.slices, func(s traceSlice) bool { return s.path == "lab" })
		assert.EqualValues(t, 7, seen.slices[lab].end, name)
	}
}

func TestPerfettoOfNothing(t *testing.T) {
	for _, r := range []recorder.Recording{
		{},
		{Began: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Length: -1},
		{Began: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		assert.Len(t, perfetto(t, r).slices, 1, "the lab")
	}
}

func TestPerfettoOfHostileTexts(t *testing.T) {
	texts := append([]string{strings.Repeat("x", 1<<20), strings.Repeat("\xff\x00", 1<<19), strings.Repeat("𝄞", 1<<18)}, hostile...)
	for i, text := range texts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			side := recorder.Endpoint{Host: text, Address: text, States: []recorder.State{{Name: text}}}
			r := recorder.Recording{
				Name: text, Kernel: text, Length: time.Second,
				Outcome:     recorder.Outcome{Verdict: text, Expected: text, Observed: text, Why: text, Words: []string{text}},
				Hosts:       []recorder.Host{{Name: text, Interfaces: []recorder.Interface{{Name: text, Addresses: []string{text, text}, Peer: text}}}},
				Processes:   []recorder.Process{{ID: 1, Host: text, Name: text, Command: text, Exit: text, States: []recorder.State{{Name: text}}}},
				Connections: []recorder.Connection{{ID: 1, Client: side, Server: side}, {ID: 2, Server: side}},
				Spans:       []recorder.Span{{ID: 1, Kind: recorder.Kind(text), Hosts: []string{text}, Name: text, Error: text}},
				Events: []recorder.Event{
					{ID: 1, Kind: recorder.Output, Host: text, Process: 1, Text: text},
					{ID: 2, Kind: recorder.Segment, Connection: 1, Text: text, Packet: &recorder.Packet{From: text, To: text, Flags: text, First: text, Marks: []string{text}}},
					{ID: 3, Kind: recorder.Kind(text), Text: text},
				},
				Dropped: []recorder.Dropped{{Kind: recorder.Kind(text), Count: 1}},
				Focus:   1,
			}
			seen := perfetto(t, r)
			assert.Len(t, seen.instants, 4)
		})
	}
}

// TestPerfettoOfRandomRecordings checks the rules on whatever may be recorded, and that no event,
// process, connection or span is lost.
func TestPerfettoOfRandomRecordings(t *testing.T) {
	for seed := range uint64(1000) {
		r := randomRecording(t, seed)
		var b bytes.Buffer
		require.NoError(t, r.WritePerfetto(&b))
		seen, err := checkTrace(b.Bytes())
		require.NoError(t, err, "seed %d", seed)
		events := map[string]int{}
		for _, s := range seen.instants {
			if len(s.event.endings) == 0 && s.event.category != "focus" {
				events[s.event.notes["event"]]++
			}
		}
		require.Len(t, events, len(r.Events), "seed %d", seed)
		byNote := map[string][]traceSlice{}
		for _, s := range seen.slices {
			for _, kind := range []string{"process", "connection", "span"} {
				if id := s.event.notes[kind]; id != "" {
					byNote[kind+id] = append(byNote[kind+id], s)
				}
			}
		}
		require.Len(t, byNote, len(r.Processes)+len(r.Connections)+len(r.Spans), "seed %d", seed)
		lasted := func(kind string, id int, began, ended time.Duration) {
			all := byNote[kind+fmt.Sprint(id)]
			require.Len(t, all, 1, "seed %d: %s %d", seed, kind, id)
			require.Equal(t, uint64(r.Began.Add(began).UnixNano()), all[0].begin, "seed %d: %s %d", seed, kind, id)
			require.Zero(t, all[0].depth, "seed %d: %s %d", seed, kind, id)
			if ended != 0 {
				require.Equal(t, uint64(r.Began.Add(max(began, ended)).UnixNano()), all[0].end, "seed %d: %s %d", seed, kind, id)
			} else {
				require.GreaterOrEqual(t, all[0].end, uint64(r.Began.Add(r.Length).UnixNano()), "seed %d: %s %d", seed, kind, id)
			}
		}
		for _, p := range r.Processes {
			lasted("process", p.ID, p.Began, p.Ended)
		}
		for _, c := range r.Connections {
			lasted("connection", c.ID, c.Began, c.Ended)
		}
		for _, s := range r.Spans {
			lasted("span", s.ID, s.Began, s.Ended)
		}
		end := seen.slices[slices.IndexFunc(seen.slices, func(s traceSlice) bool { return s.path == "lab" })].end
		for path, samples := range seen.counters {
			for i, s := range samples {
				require.GreaterOrEqual(t, s.value, int64(0), "seed %d: %s", seed, path)
				require.True(t, i == 0 || s.at > samples[i-1].at, "seed %d: %s", seed, path)
				require.LessOrEqual(t, s.at, end, "seed %d: %s", seed, path)
			}
		}
	}
}
