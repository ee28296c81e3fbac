// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"forkrig/recorder/internal/journal"
)

const (
	// maxComment is the longest comment, in bytes. An option of pcapng has 16 bits for its length.
	maxComment = 4096
	// maxFrame is how much of a packet is written, in bytes: what Wireshark reads of one.
	maxFrame = 256 << 10
	// maxMessage is how much of a text a journal entry has, in bytes. Wireshark reads entries of
	// the same size as packets, with their other fields.
	maxMessage = maxFrame - 16<<10
)

// SeenBy returns the recording with the frames of one host only, and each packet of its loopback
// once, as it came in. Without their frames are the packets that were lost on their way to the
// host; those of other hosts are not there. A capture of it has each packet once, as a program
// that analyses TCP expects.
func (r Recording) SeenBy(host string) Recording {
	var frames []Frame
	elsewhere := map[int]bool{}
	for _, f := range r.Frames {
		elsewhere[f.Event] = true
	}
	for _, f := range r.Frames {
		if f.Host == host {
			delete(elsewhere, f.Event)
			if f.Interface != "lo" || !f.Sent {
				frames = append(frames, f)
			}
		}
	}
	r.Frames = frames
	r.Events = slices.DeleteFunc(slices.Clone(r.Events), func(e Event) bool {
		return e.Kind == Segment && elsewhere[e.ID] && (e.Packet == nil || e.Packet.To != host)
	})
	return r
}

// WritePcapng writes the recording as a capture for Wireshark: an interface for each end of a
// link, and for a loopback that has frames; the packets as each end saw them, with direction,
// process and event; and between them, in order of time, the other events as entries of a
// journal. A packet that was seen at both ends of a link is there twice, with the same packet ID:
// see [Recording.SeenBy]. Times are in nanoseconds since the epoch, by the clock of the machine
// when the lab was made. The errors are those of w.
func (r Recording) WritePcapng(w io.Writer) error {
	if err := newIndex(r).writePcapng(w); err != nil {
		return fmt.Errorf("write the capture of %q: %w", label(r.Name, 100), err)
	}
	return nil
}

func (r index) writePcapng(w io.Writer) error {
	out := bufio.NewWriter(w)
	interfaces := r.captureInterfaces()
	section := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware:    runtime.GOARCH,
		OS:          label("Linux "+r.Kernel, 200),
		Application: "forkrig",
		Comment:     label(r.captureComment(), maxComment),
	}}
	// Given a bufio.Writer, bufio would use that one, and each flush would reach w.
	packets, err := pcapgo.NewNgWriterInterface(struct{ io.Writer }{out}, interfaces[0].description, section)
	if err != nil {
		return err
	}
	number := map[captureInterface]int{}
	for i, end := range interfaces {
		number[end.captureInterface] = i
		if i > 0 {
			if _, err := packets.AddInterface(end.description); err != nil {
				return err
			}
		}
	}

	frames := slices.Clone(r.Frames)
	slices.SortStableFunc(frames, func(a, b Frame) int { return cmp.Compare(a.At, b.At) })
	entries, boot := r.journal(), r.bootID()
	var block []byte
	for len(frames) > 0 || len(entries) > 0 {
		if len(frames) == 0 || len(entries) > 0 && entries[0].At <= frames[0].At {
			block = journal.AppendBlock(block[:0], r.journalFields(entries[0], boot))
			entries = entries[1:]
			if err := packets.Flush(); err != nil {
				return err
			}
			if _, err := out.Write(block); err != nil {
				return err
			}
			continue
		}
		f := frames[0]
		frames = frames[1:]
		data := f.Data[:min(len(f.Data), maxFrame)]
		about := gopacket.CaptureInfo{
			Timestamp:      time.Unix(0, r.sinceEpoch(f.At)),
			CaptureLength:  len(data),
			Length:         min(max(f.Length, len(f.Data)), math.MaxInt32),
			InterfaceIndex: number[captureInterface{f.Host, f.Interface}],
		}
		if err := packets.WritePacketWithOptions(about, data, r.packetOptions(f)); err != nil {
			return err
		}
	}
	if err := packets.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

// captureComment is the comment of the whole capture.
func (r Recording) captureComment() string {
	parts := []string{r.Name}
	for _, part := range []struct{ name, text string }{
		{"verdict: ", r.Outcome.Verdict}, {"expected: ", r.Outcome.Expected},
		{"observed: ", r.Outcome.Observed}, {"why: ", r.Outcome.Why},
	} {
		if part.text != "" {
			parts = append(parts, part.name+label(part.text, 900))
		}
	}
	if r.Focus != 0 {
		parts = append(parts, fmt.Sprintf("it went wrong at #e%d", r.Focus))
	}
	return strings.Join(append(parts, fmt.Sprintf("seed: %d", r.Seed)), "; ")
}

// captureInterface is an interface by its host and its name.
type captureInterface struct{ host, name string }

type captureEnd struct {
	captureInterface
	description pcapgo.NgInterface
}

// captureInterfaces returns the ends of links, and behind them whatever else has frames. There
// is at least one, because the writer wants one.
func (r Recording) captureInterfaces() []captureEnd {
	var ends []captureEnd
	known := map[captureInterface]bool{}
	add := func(host, name, comment string) {
		if end := (captureInterface{host, name}); !known[end] {
			known[end] = true
			ends = append(ends, captureEnd{end, pcapgo.NgInterface{
				Name:                label(host, 200) + ":" + label(name, 50),
				Comment:             label(comment, maxComment),
				LinkType:            layers.LinkTypeEthernet,
				TimestampResolution: 9,
			}})
		}
	}
	for _, h := range r.Hosts {
		for _, i := range h.Interfaces {
			comment := fmt.Sprintf("host %s, %s", h.Name, strings.Join(i.Addresses, " "))
			if i.Peer != "" {
				comment += ", link to " + i.Peer
			}
			add(h.Name, i.Name, comment)
		}
	}
	for _, f := range r.Frames {
		comment := "host " + f.Host
		if f.Interface == "lo" {
			comment += ", loopback"
		}
		add(f.Host, f.Interface, comment)
	}
	if len(ends) == 0 {
		add("none", "none", "nothing was captured")
	}
	return ends
}

// packetOptions says of a frame its direction, its event as packet ID, and in a comment the
// event, the process and what is special.
func (r index) packetOptions(f Frame) pcapgo.NgPacketOptions {
	direction := pcapgo.NgEpbFlagDirectionInbound
	if f.Sent {
		direction = pcapgo.NgEpbFlagDirectionOutbound
	}
	options := pcapgo.NgPacketOptions{Flags: &pcapgo.NgEpbFlags{Direction: direction}}
	var words []string
	if f.Event > 0 {
		id := uint64(f.Event)
		options.PacketID = &id
		words = append(words, fmt.Sprintf("#e%d", f.Event))
	}
	if p := r.processes[f.Process]; p != nil {
		words = append(words, fmt.Sprintf("%s[%d] on %s", p.Name, p.PID, p.Host))
	}
	if e := r.events[f.Event]; e != nil && e.Packet != nil {
		words = append(words, e.Packet.Marks...)
	}
	if f.Event > 0 && f.Event == r.Focus {
		words = append(words, "here it went wrong")
	}
	if len(words) > 0 {
		options.Comments = []string{label(strings.Join(words, ", "), maxComment)}
	}
	return options
}

// journal returns the events that are no packets, and those packets of which no frame was kept,
// in order of time.
func (r Recording) journal() []Event {
	framed := map[int]bool{}
	for _, f := range r.Frames {
		framed[f.Event] = true
	}
	var entries []Event
	for _, e := range r.Events {
		if e.Kind != Segment || !framed[e.ID] {
			entries = append(entries, e)
		}
	}
	slices.SortStableFunc(entries, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return entries
}

// journalFields returns the entry for an event. The time is the first field: Wireshark takes the
// first text that looks like it.
func (r index) journalFields(e Event, boot string) []journal.Field {
	microseconds := func(ns int64) string { return strconv.FormatInt(ns/1000, 10) }
	var fields []journal.Field
	add := func(name, value string) { fields = append(fields, journal.Field{Name: name, Value: value}) }
	add("__REALTIME_TIMESTAMP", microseconds(r.sinceEpoch(e.At)))
	add("__MONOTONIC_TIMESTAMP", microseconds(max(int64(e.At), 0)))
	add("_BOOT_ID", boot)
	add("PRIORITY", strconv.Itoa(r.priority(e)))
	host, identifier := e.Host, "forkrig"
	if p := r.processes[e.Process]; p != nil {
		host = cmp.Or(host, p.Host)
		if e.Kind == Output {
			identifier = p.Name
		}
		add("_PID", strconv.Itoa(p.PID))
		add("_COMM", label(p.Name, 200))
	}
	if host != "" {
		add("_HOSTNAME", label(host, 200))
	}
	add("SYSLOG_IDENTIFIER", label(identifier, 200))
	add("FORKRIG_EVENT", fmt.Sprintf("#e%d", e.ID))
	add("FORKRIG_KIND", label(string(e.Kind), 200))
	for _, id := range []struct {
		name string
		id   int
	}{{"FORKRIG_PROCESS", e.Process}, {"FORKRIG_CONNECTION", e.Connection}, {"FORKRIG_SPAN", e.Span}} {
		if id.id != 0 {
			add(id.name, strconv.Itoa(id.id))
		}
	}
	message := e.Text
	if len(message) > maxMessage {
		add("FORKRIG_LENGTH", strconv.Itoa(len(message)))
		message = message[:maxMessage]
	}
	add("MESSAGE", message)
	return fields
}

// bootID is an ID for the lab in the place of that of a boot, because monotonic times are only
// compared within one.
func (r Recording) bootID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", r.Began.UnixNano(), r.Seed, r.Name))
	return hex.EncodeToString(sum[:16])
}

// priority is how much an event matters, as a level of syslog(3).
func (r index) priority(e Event) int {
	const (
		failure = 3 // LOG_ERR
		warning = 4 // LOG_WARNING
		notice  = 5 // LOG_NOTICE
		info    = 6 // LOG_INFO
	)
	switch {
	case e.ID != 0 && e.ID == r.Focus:
		return failure
	case e.Kind == Verdict && r.Outcome.Verdict != "" && r.Outcome.Verdict != "pass":
		return warning
	case e.Kind == Wait && r.spans[e.Span] != nil && r.spans[e.Span].Error != "":
		return warning
	case e.Kind == Fault || e.Kind == Storm || e.Kind == Signal || e.Kind == Verdict:
		return notice
	default:
		return info
	}
}
