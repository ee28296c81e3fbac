// SPDX-License-Identifier: Apache-2.0

package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Action is one step of a schedule. The verb decides which of the numbers are used;
// the others are 0.
type Action struct {
	Verb Verb `json:"verb"`
	// Conn is the number of a connection, from 1, which [Connect] gives it.
	Conn int `json:"conn,omitempty"`
	// Client is the number of a client host, from 1.
	Client int `json:"client,omitempty"`
	// Bytes is the length of a message in bytes.
	Bytes int `json:"bytes,omitempty"`
}

// Verb says what an action does.
type Verb uint8

// The verbs. An action whose precondition does not hold, such as a message on a
// connection that has ended, does nothing. Therefore every part of a schedule is a
// schedule.
const (
	Connect            Verb = iota + 1 // a new connection Conn from Client
	Send                               // a message on Conn; its answer is read as soon as the subject can give it
	HalfClose                          // a message, if Bytes is not 0, then at once shutdown(SHUT_WR); then the rest of the answer is read
	Close                              // close(2) of Conn after its answers have been read
	Kill                               // the end of Conn when its client process is killed: the kernel closes it with a message unanswered
	Reset                              // a reset (RST) of Conn, right after a message if Bytes is not 0
	KillWorker                         // SIGKILL to the process that serves Conn
	Storm                              // a storm begins, of signals that the subject does not take for commands
	EndStorm                           // the storm ends
	Restart                            // SIGTERM to the server, then a start on the same port
	Crash                              // SIGKILL to the listener but not to its workers, then a start on the same port
	Unplug                             // the links of Client are down from now on: no packet passes
	Plug                               // they are up again
	ExhaustDescriptors                 // the listener can open no descriptor (RLIMIT_NOFILE)
	ExhaustProcesses                   // no fork succeeds (RLIMIT_NPROC)
	EndShortage                        // the limits are what they were
	verbEnd
)

// operands are the numbers that a verb uses.
type operands struct{ conn, client, bytes, mayBytes bool }

var verbs = [verbEnd]struct {
	name    string // in JSON
	oldName string // in the JSON of 0.1.0, where it was another one
	code    string // in Go
	operands
}{
	Connect:            {"connect", "", "Connect", operands{conn: true, client: true}},
	Send:               {"send", "", "Send", operands{conn: true, bytes: true}},
	HalfClose:          {"half-close", "", "HalfClose", operands{conn: true, mayBytes: true}},
	Close:              {"close", "", "Close", operands{conn: true}},
	Kill:               {"kill", "", "Kill", operands{conn: true, bytes: true}},
	Reset:              {"reset", "", "Reset", operands{conn: true, mayBytes: true}},
	KillWorker:         {"kill-worker", "", "KillWorker", operands{conn: true}},
	Storm:              {"storm", "", "Storm", operands{}},
	EndStorm:           {"end-storm", "calm", "EndStorm", operands{}},
	Restart:            {"restart", "", "Restart", operands{}},
	Crash:              {"crash", "", "Crash", operands{}},
	Unplug:             {"unplug", "part", "Unplug", operands{client: true}},
	Plug:               {"plug", "join", "Plug", operands{client: true}},
	ExhaustDescriptors: {"exhaust-descriptors", "take-files", "ExhaustDescriptors", operands{}},
	ExhaustProcesses:   {"exhaust-processes", "take-processes", "ExhaustProcesses", operands{}},
	EndShortage:        {"end-shortage", "release", "EndShortage", operands{}},
}

func (v Verb) valid() bool { return v > 0 && v < verbEnd }

// String returns the verb's name.
func (v Verb) String() string {
	if !v.valid() {
		return fmt.Sprintf("verb %d", uint8(v))
	}
	return verbs[v].name
}

// MarshalText returns the verb's name.
func (v Verb) MarshalText() ([]byte, error) {
	if !v.valid() {
		return nil, fmt.Errorf("%v does not exist", v)
	}
	return []byte(v.String()), nil
}

// UnmarshalText accepts the names of verbs, also those of 0.1.0, and nothing else.
func (v *Verb) UnmarshalText(text []byte) error {
	for known := Connect; known < verbEnd; known++ {
		if name := string(text); name != "" && (name == verbs[known].name || name == verbs[known].oldName) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("unknown verb %q", text)
}

// ParseVerbs reads names of verbs that are separated by commas, as [Search.Without]
// takes them; "" gives none. [Connect] is an error: without it nothing can happen.
func ParseVerbs(list string) ([]Verb, error) {
	var all []Verb
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		var verb Verb
		if err := verb.UnmarshalText([]byte(name)); err != nil {
			var known []string
			for v := Send; v < verbEnd; v++ {
				known = append(known, v.String())
			}
			return nil, fmt.Errorf("%w: give some of %s", err, strings.Join(known, ", "))
		}
		if verb == Connect {
			return nil, errors.New("connect cannot be left out: no story is without connections")
		}
		all = append(all, verb)
	}
	return all, nil
}

// messageSizes are the lengths of messages in bytes: one byte, a line, several reads of
// some servers, and more than a socket's buffers hold.
var messageSizes = []int{1, 40, 5000, 200_000}

// clientHosts is how many client hosts the lab of a story has.
const clientHosts = 2

// maxConn is the highest number of a connection.
const maxConn = 99

// check returns what is wrong with the action.
func (a Action) check() error {
	if !a.Verb.valid() {
		return fmt.Errorf("%v does not exist", a.Verb)
	}
	uses := verbs[a.Verb].operands
	within := func(name string, value, highest int, used bool) error {
		switch {
		case !used && value != 0:
			return fmt.Errorf("%v has no %s: leave it out", a.Verb, name)
		case used && (value < 1 || value > highest):
			return fmt.Errorf("%s %d: give one from 1 to %d", name, value, highest)
		}
		return nil
	}
	err := errors.Join(within("conn", a.Conn, maxConn, uses.conn), within("client", a.Client, clientHosts, uses.client))
	switch {
	case !uses.bytes && !uses.mayBytes && a.Bytes != 0:
		err = errors.Join(err, fmt.Errorf("%v has no bytes: leave them out", a.Verb))
	case a.Bytes != 0 && !slices.Contains(messageSizes, a.Bytes), uses.bytes && a.Bytes == 0:
		err = errors.Join(err, fmt.Errorf("bytes %d: give one of %v", a.Bytes, messageSizes))
	}
	return err
}

// String returns the action as a line of a story.
func (a Action) String() string {
	conn, client := fmt.Sprintf("connection %d", a.Conn), fmt.Sprintf("client%d", a.Client)
	message := fmt.Sprintf("%d bytes", a.Bytes)
	if a.Bytes == 1 {
		message = "1 byte"
	}
	switch a.Verb {
	case Connect:
		return client + " connects: " + conn
	case Send:
		return conn + " sends " + message
	case HalfClose:
		if a.Bytes == 0 {
			return conn + " closes its sending side"
		}
		return conn + " sends " + message + " and closes its sending side at once"
	case Close:
		return conn + " is closed by its client"
	case Kill:
		return "the client of " + conn + " is killed while " + message + " are unanswered"
	case Reset:
		if a.Bytes == 0 {
			return conn + " is reset by its client"
		}
		return conn + " sends " + message + " and is reset by its client at once"
	case KillWorker:
		return "the worker of " + conn + " is killed"
	case Storm:
		return "a signal storm begins"
	case EndStorm:
		return "the signal storm ends"
	case Restart:
		return "the server is stopped by SIGTERM and started again"
	case Crash:
		return "the listener is killed, and the server is started again"
	case Unplug:
		return client + " is unplugged from the network"
	case Plug:
		return client + " is plugged in again"
	case ExhaustDescriptors:
		return "the listener runs out of descriptors"
	case ExhaustProcesses:
		return "the server runs out of processes: fork fails"
	case EndShortage:
		return "the shortage ends"
	}
	return a.Verb.String()
}

// GoString returns the action as Go source, without its type.
func (a Action) GoString() string {
	code := "Verb(0)"
	if a.Verb.valid() {
		code = "search." + verbs[a.Verb].code
	}
	text := "{Verb: " + code
	for _, field := range []struct {
		name  string
		value int
	}{{"Conn", a.Conn}, {"Client", a.Client}, {"Bytes", a.Bytes}} {
		if field.value != 0 {
			text += fmt.Sprintf(", %s: %d", field.name, field.value)
		}
	}
	return text + "}"
}
