// SPDX-License-Identifier: Apache-2.0

package recorder

import "time"

// Schema is the version of the format in which a [Recording] is written as JSON.
const Schema = 1

// Recording is what was recorded of one lab. All its times are since the lab was made, on the
// monotonic clock of the kernel (CLOCK_MONOTONIC); in JSON they are whole nanoseconds. Texts may
// hold anything that a subject wrote. Lists that are required in JSON are never nil in what
// [Recorder.Recording] returns, so that they are [] and not null.
type Recording struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"` // of the lab, such as "reap IPv4" or the name of a test
	// Outcome is what came of it, such as the verdict of a check.
	Outcome Outcome       `json:"outcome"`
	Kernel  string        `json:"kernel"`
	Seed    uint64        `json:"seed,string"`
	Began   time.Time     `json:"began"` // when the lab was made, by the clock of the machine
	Length  time.Duration `json:"length_ns"`

	Hosts       []Host       `json:"hosts"`
	Processes   []Process    `json:"processes"`   // in order of their IDs, from 1
	Connections []Connection `json:"connections"` // in order of their IDs, from 1
	Spans       []Span       `json:"spans"`       // in order of their IDs, from 1
	Events      []Event      `json:"events"`      // in order of time; their IDs go from 1
	// Focus is the ID of the event where it went wrong; 0 where nothing went wrong, or where that event is
	// not known.
	Focus int `json:"focus,omitempty"`
	// Dropped says what was left out because there was too much of it.
	Dropped []Dropped `json:"dropped"`

	// Frames are the packets as they were, for pcapng; JSON does not have them.
	Frames []Frame `json:"-"`
}

// Outcome is what came of a lab.
type Outcome struct {
	Verdict  string `json:"verdict"`            // "pass", "fail" or another verdict of package scorecard; "" where there is none
	Expected string `json:"expected,omitempty"` // what a right subject does
	Observed string `json:"observed,omitempty"` // what this one did
	Why      string `json:"why,omitempty"`      // the remedy, or the reason
	// Words are the last own words of the subject, as lines.
	Words []string `json:"words,omitempty"`
}

// Host is a network namespace of the lab.
type Host struct {
	Name       string      `json:"name"`
	Interfaces []Interface `json:"interfaces"` // without the loopback
}

// Interface is an end of a link.
type Interface struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // with the length of the prefix
	Peer      string   `json:"peer"`      // the host at the other end
}

// Process is a process that ran on a host.
type Process struct {
	ID     int    `json:"id"`
	Parent int    `json:"parent,omitempty"` // its ID; 0 where it was started by the rig, or is not known
	Host   string `json:"host"`
	Name   string `json:"name"`
	PID    int    `json:"pid"`
	// Command is the command line of a process that the rig started, "" for its children.
	Command string `json:"command,omitempty"`
	// Began is when it was started, or born as the kernel says; where the event of that was left out, when it
	// was seen.
	Began time.Duration `json:"began_ns"`
	// Ended is when it was seen to be gone; 0 where it was there at the end.
	Ended time.Duration `json:"ended_ns,omitempty"`
	// States are those in which it was seen, each from then on: "runs" (or sleeps), "stopped",
	// "zombie".
	States []State `json:"states"`
	// Descriptors is how many it was seen to have, each from then on; a child has those of its parent at first.
	Descriptors []Count `json:"descriptors,omitempty"`
	Exit        string  `json:"exit,omitempty"` // such as "exit status 1" or "killed by SIGSEGV", where that is known
}

// State is a state from a time on.
type State struct {
	At   time.Duration `json:"at_ns"`
	Name string        `json:"name"`
}

// Count is a number from a time on.
type Count struct {
	At    time.Duration `json:"at_ns"`
	Count int           `json:"count"`
}

// Connection is a TCP connection, known by its four-tuple, or a listener, whose Client side
// has no address.
type Connection struct {
	ID     int           `json:"id"`
	Client Endpoint      `json:"client"` // the side that sent the first SYN
	Server Endpoint      `json:"server"`
	Began  time.Duration `json:"began_ns"`
	Ended  time.Duration `json:"ended_ns,omitempty"` // 0 where a side was there at the end
}

// Endpoint is one side of a connection. Its states are those of its socket (tcp(7)), such as
// "ESTABLISHED" or "TIME_WAIT", as sock_diag showed them, and "gone".
type Endpoint struct {
	Host    string  `json:"host,omitempty"` // "" where the address belongs to none
	Address string  `json:"address"`        // with the port, such as "10.0.0.1:6666" or "[fd00::1]:6666"
	States  []State `json:"states,omitempty"`
}

// Span is something that lasted: a fault until it was healed, a storm of signals, a wait.
type Span struct {
	ID    int           `json:"id"`
	Kind  Kind          `json:"kind"`            // Fault, Storm or Wait
	Hosts []string      `json:"hosts,omitempty"` // that it is about; none where it is about the whole lab
	Name  string        `json:"name"`
	Began time.Duration `json:"began_ns"`
	Ended time.Duration `json:"ended_ns,omitempty"` // 0 where it lasted until the end
	Error string        `json:"error,omitempty"`    // how a wait failed
}

// Kind is what an event or a span is.
type Kind string

// The kinds of events. Fault, Storm and Wait are those of spans, too.
const (
	Note    Kind = "note"    // something that the rig did or saw
	Start   Kind = "start"   // a process begins
	Exit    Kind = "exit"    // a process ends, becomes a zombie, or is reaped
	Stop    Kind = "stop"    // a process is stopped or continued
	Signal  Kind = "signal"  // the rig sends a signal
	Fault   Kind = "fault"   // a fault begins or is healed
	Storm   Kind = "storm"   // a storm of signals begins or ends
	Wait    Kind = "wait"    // something was waited for: the event is the end of the wait
	Call    Kind = "call"    // a system call was answered by the rig
	Socket  Kind = "socket"  // the state of a socket changed
	Segment Kind = "packet"  // a TCP segment, or another packet
	Output  Kind = "output"  // a process wrote a line
	Verdict Kind = "verdict" // a check gives its verdict
)

// Event is something that happened.
type Event struct {
	ID         int           `json:"id"`
	At         time.Duration `json:"at_ns"`
	Kind       Kind          `json:"kind"`
	Host       string        `json:"host,omitempty"`       // "" for what the rig does outside of hosts
	Process    int           `json:"process,omitempty"`    // the ID of the process that it belongs to
	Connection int           `json:"connection,omitempty"` // the ID of the connection
	Span       int           `json:"span,omitempty"`       // the ID of the span that it begins or ends
	Text       string        `json:"text"`
	Packet     *Packet       `json:"packet,omitempty"` // of a Segment
}

// Packet is a packet on a link. The time of its event is when it left its sender.
type Packet struct {
	From string `json:"from"` // the host that sent it
	// Side is the side of the connection that sent it, "client" or "server"; "" where it belongs to none.
	// On the loopback, the hosts do not say it.
	Side string `json:"side,omitempty"`
	To   string `json:"to"` // the host at the other end of the link; the same for the loopback
	// Took is how long it was on its way; negative where it was not seen to arrive.
	Took   time.Duration `json:"took_ns"`
	Flags  string        `json:"flags,omitempty"` // of TCP, such as "SYN ACK"
	Seq    uint32        `json:"seq"`             // relative to the SYN of the side, or to the first number seen of it
	Ack    uint32        `json:"ack"`             // relative, too; 0 without ACK
	Window int           `json:"window"`          // in bytes, with the scale where the SYN was seen
	Bytes  int           `json:"bytes"`           // of payload
	First  string        `json:"first,omitempty"` // the first bytes of the payload, as printable text
	// Marks are what is special about it: "retransmission", "duplicate" (a fault delivered it twice),
	// "keep-alive", "zero window", "window probe" (it asks whether that still is so), "reset", "lost", and
	// "not seen to arrive" where it may have arrived: it may have been under way at the end of the recording,
	// or not all packets of that host were captured.
	Marks []string `json:"marks,omitempty"`
}

// Dropped says how many events of a kind were left out: the oldest ones.
type Dropped struct {
	Kind  Kind `json:"kind"`
	Count int  `json:"count"`
}

// Frame is a packet as one end of a link saw it.
type Frame struct {
	At        time.Duration
	stamp     int64 // nanoseconds of the clock that both ends of a link have in common
	Host      string
	Interface string // such as "eth0" or "lo"
	Sent      bool   // it left there; otherwise it came in
	Length    int    // of the whole frame, in bytes
	Data      []byte // its first bytes, from the Ethernet header on
	Process   int    // the ID of the process that the event says, 0 where none is known
	Event     int    // the ID of the event, 0 where there is none
}
