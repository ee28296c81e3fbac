// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields in Perfetto's protos/perfetto/trace.
const (
	tracePacket protowire.Number = 1 // of Trace

	packetClockSnapshot   protowire.Number = 6 // of TracePacket
	packetTimestamp       protowire.Number = 8
	packetSequence        protowire.Number = 10 // trusted_packet_sequence_id
	packetTrackEvent      protowire.Number = 11
	packetSequenceFlags   protowire.Number = 13
	packetTrackDescriptor protowire.Number = 60
	packetFirst           protowire.Number = 87 // first_packet_on_sequence

	snapshotClocks protowire.Number = 1 // of ClockSnapshot
	clockID        protowire.Number = 1 // of ClockSnapshot.Clock
	clockTimestamp protowire.Number = 2

	trackUUID          protowire.Number = 1 // of TrackDescriptor
	trackName          protowire.Number = 2
	trackParent        protowire.Number = 5
	trackCounter       protowire.Number = 8
	trackChildOrdering protowire.Number = 11
	trackRank          protowire.Number = 12 // sibling_order_rank
	trackDescription   protowire.Number = 14
	trackMerging       protowire.Number = 15 // sibling_merge_behavior
	counterUnitName    protowire.Number = 6  // of CounterDescriptor

	eventAnnotations  protowire.Number = 4 // of TrackEvent
	eventType         protowire.Number = 9
	eventTrackUUID    protowire.Number = 11
	eventCategories   protowire.Number = 22
	eventName         protowire.Number = 23
	eventCounterValue protowire.Number = 30
	eventFlows        protowire.Number = 47 // flow_ids
	eventEndingFlows  protowire.Number = 48 // terminating_flow_ids

	annotationInt    protowire.Number = 4 // of DebugAnnotation
	annotationString protowire.Number = 6
	annotationName   protowire.Number = 10
)

const (
	neverMerge      = 2 // SiblingMergeBehavior: tracks of one name would be made one
	clockRealtime   = 1 // BuiltinClock
	clockBoottime   = 6 // the clock of a trace, unless it says another
	stateCleared    = 1 // SequenceFlags: nothing earlier is referred to
	explicitOrder   = 3 // ChildTracksOrdering
	packetSequence1 = 1 // all packets are of one sequence
)

// write writes the trace: the clock, the tracks, and all marks in order of time. It interns
// nothing, so that each packet is understood on its own.
func (t *tracks) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	var b []byte
	packet := func(fields []byte) error {
		b = protowire.AppendTag(b[:0], tracePacket, protowire.BytesType)
		b = protowire.AppendBytes(b, fields)
		_, err := out.Write(b)
		return err
	}
	if err := packet(t.clock()); err != nil {
		return err
	}
	order := appendVarint(nil, trackUUID, 0)
	order = appendVarint(order, trackChildOrdering, explicitOrder)
	if err := packet(appendMessage(sequenced(), packetTrackDescriptor, order)); err != nil {
		return err
	}
	for _, k := range t.list {
		if err := packet(appendMessage(sequenced(), packetTrackDescriptor, k.descriptor())); err != nil {
			return err
		}
	}
	type placed struct {
		*track
		mark
	}
	var all []placed
	for _, k := range t.list {
		for _, m := range k.ordered() {
			all = append(all, placed{k, m})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	var fields []byte
	for _, m := range all {
		fields = appendVarint(append(fields[:0], sequenced()...), packetTimestamp, uint64(t.sinceEpoch(m.at)))
		fields = appendMessage(fields, packetTrackEvent, m.encode(m.track.id))
		if err := packet(fields); err != nil {
			return err
		}
	}
	return out.Flush()
}

// sequenced returns the field that each packet has.
func sequenced() []byte { return appendVarint(nil, packetSequence, packetSequence1) }

// clock returns the first packet: the clock of the trace is that of the machine.
func (t *tracks) clock() []byte {
	now := uint64(t.sinceEpoch(0))
	var snapshot []byte
	for _, id := range []uint64{clockBoottime, clockRealtime} {
		clock := appendVarint(nil, clockID, id)
		snapshot = appendMessage(snapshot, snapshotClocks, appendVarint(clock, clockTimestamp, now))
	}
	b := appendVarint(sequenced(), packetTimestamp, now)
	b = appendMessage(b, packetClockSnapshot, snapshot)
	b = appendVarint(b, packetSequenceFlags, stateCleared)
	return appendVarint(b, packetFirst, 1)
}

func (k *track) descriptor() []byte {
	b := appendVarint(nil, trackUUID, k.id)
	b = appendText(b, trackName, k.name)
	if k.parent != 0 {
		b = appendVarint(b, trackParent, k.parent)
	}
	b = appendVarint(b, trackChildOrdering, explicitOrder)
	b = appendVarint(b, trackRank, uint64(k.rank))
	b = appendVarint(b, trackMerging, neverMerge)
	if len(k.about) > 0 {
		b = appendText(b, trackDescription, label(strings.Join(k.about, ", "), maxArgument))
	}
	if k.unit != "" {
		b = appendMessage(b, trackCounter, appendText(nil, counterUnitName, k.unit))
	}
	return b
}

// ordered returns the marks of a track in order of time, instants behind slices. Instants at the
// same time would be nested in each other, at most 512 deep: each gets a nanosecond of its own.
func (k *track) ordered() []mark {
	slices.SortStableFunc(k.instants, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	last := time.Duration(-1)
	for i := range k.instants {
		k.instants[i].at = max(k.instants[i].at, last+1)
		last = k.instants[i].at
	}
	all := slices.Concat(k.marks, k.instants)
	slices.SortStableFunc(all, func(a, b mark) int { return cmp.Compare(a.at, b.at) })
	return all
}

func (m mark) encode(track uint64) []byte {
	b := appendVarint(nil, eventType, uint64(m.what))
	b = appendVarint(b, eventTrackUUID, track)
	if m.category != "" {
		b = appendText(b, eventCategories, label(m.category, maxName))
	}
	if m.name != "" || m.what == sliceBegin {
		b = appendText(b, eventName, m.name)
	}
	if m.what == counted {
		b = appendVarint(b, eventCounterValue, uint64(m.value))
	}
	for _, n := range m.arguments {
		annotation := appendText(nil, annotationName, label(n.name, maxName))
		if n.isText {
			annotation = appendText(annotation, annotationString, argumentText(n.text))
		} else {
			annotation = appendVarint(annotation, annotationInt, uint64(n.number))
		}
		b = appendMessage(b, eventAnnotations, annotation)
	}
	if m.leaves != 0 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, eventFlows, protowire.Fixed64Type), m.leaves)
	}
	if m.arrives != 0 {
		b = protowire.AppendFixed64(protowire.AppendTag(b, eventEndingFlows, protowire.Fixed64Type), m.arrives)
	}
	return b
}

// argumentText returns a text as it was, as far as a string of a trace can hold it: valid UTF-8
// without NUL, which ends a string in SQL.
func argumentText(text string) string {
	cut := ""
	if len(text) > maxArgument {
		text, cut = text[:maxArgument], "…"
	}
	text = strings.ToValidUTF8(text, "\ufffd")
	return strings.ReplaceAll(text, "\x00", "\ufffd") + cut
}

func appendVarint(b []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), value)
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendMessage(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}
