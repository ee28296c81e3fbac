package search

import (
	"errors"
	"fmt"
	"slices"
)

// Action is one thing that happens in a story. Which of its numbers count depends
// on the verb; the others are 0.
type Action struct {
	Verb Verb `json:"verb"`
	// Conn is the number of a connection, from 1, which [Connect] gives it.
	Conn int `json:"conn,omitempty"`
	// Client is the number of a client's host, from 1.
	Client int `json:"client,omitempty"`
	// Bytes is the length of a message.
	Bytes int `json:"bytes,omitempty"`
}

// Verb is what happens.
type Verb uint8

// The verbs. An action for which the conditions are not there, such as a message on a
// connection that has ended, does nothing; so every part of a story is a story.
const (
	Connect       Verb = iota + 1 // a new connection Conn from Client
	Send                          // a message on Conn, and its answer as soon as that can come
	HalfClose                     // a message, if Bytes is not 0, and at once the end of the sending side; then the rest of the answer
	Close                         // the end of Conn, when its answers have come
	Kill                          // the end of Conn as that of a client that is killed: the kernel closes it with a message unanswered
	Reset                         // a reset of Conn, right after a message if Bytes is not 0
	KillWorker                    // SIGKILL to whoever serves Conn
	Storm                         // signals begin that are commands to nobody
	Calm                          // they end
	Restart                       // SIGTERM to the server, which is started again on the same port
	Crash                         // the same with SIGKILL, to the listener alone
	Part                          // no packet passes between Client and the server from now on
	Join                          // they do again
	TakeFiles                     // the listener has not one descriptor left (RLIMIT_NOFILE)
	TakeProcesses                 // no fork succeeds any more (RLIMIT_NPROC)
	Release                       // the shortage is over
	verbEnd
)

// needs are the numbers that go with a verb.
type needs struct{ conn, client, bytes, mayBytes bool }

var verbs = [verbEnd]struct {
	name string // in JSON
	code string // in Go
	needs
}{
	Connect:       {"connect", "Connect", needs{conn: true, client: true}},
	Send:          {"send", "Send", needs{conn: true, bytes: true}},
	HalfClose:     {"half-close", "HalfClose", needs{conn: true, mayBytes: true}},
	Close:         {"close", "Close", needs{conn: true}},
	Kill:          {"kill", "Kill", needs{conn: true, bytes: true}},
	Reset:         {"reset", "Reset", needs{conn: true, mayBytes: true}},
	KillWorker:    {"kill-worker", "KillWorker", needs{conn: true}},
	Storm:         {"storm", "Storm", needs{}},
	Calm:          {"calm", "Calm", needs{}},
	Restart:       {"restart", "Restart", needs{}},
	Crash:         {"crash", "Crash", needs{}},
	Part:          {"part", "Part", needs{client: true}},
	Join:          {"join", "Join", needs{client: true}},
	TakeFiles:     {"take-files", "TakeFiles", needs{}},
	TakeProcesses: {"take-processes", "TakeProcesses", needs{}},
	Release:       {"release", "Release", needs{}},
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
		return nil, fmt.Errorf("there is no %v", v)
	}
	return []byte(v.String()), nil
}

// UnmarshalText accepts the names of verbs alone.
func (v *Verb) UnmarshalText(text []byte) error {
	for known := Connect; known < verbEnd; known++ {
		if verbs[known].name == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("there is no verb %q", text)
}

// Sizes are the lengths of messages in bytes: one byte, a line, several reads of
// some servers, and more than a socket's buffers hold.
var Sizes = []int{1, 40, 5000, 200_000}

// Clients is how many hosts of clients a lab of this package has.
const Clients = 2

// maxConn is the highest number of a connection.
const maxConn = 99

// check returns what is wrong with the action.
func (a Action) check() error {
	if !a.Verb.valid() {
		return fmt.Errorf("there is no %v", a.Verb)
	}
	n := verbs[a.Verb].needs
	within := func(what string, value, most int, needed bool) error {
		switch {
		case !needed && value != 0:
			return fmt.Errorf("%v has no %s: leave it out", a.Verb, what)
		case needed && (value < 1 || value > most):
			return fmt.Errorf("%s %d: give one from 1 to %d", what, value, most)
		}
		return nil
	}
	err := errors.Join(within("conn", a.Conn, maxConn, n.conn), within("client", a.Client, Clients, n.client))
	switch {
	case !n.bytes && !n.mayBytes && a.Bytes != 0:
		err = errors.Join(err, fmt.Errorf("%v has no bytes: leave them out", a.Verb))
	case a.Bytes != 0 && !slices.Contains(Sizes, a.Bytes), n.bytes && a.Bytes == 0:
		err = errors.Join(err, fmt.Errorf("bytes %d: give one of %v", a.Bytes, Sizes))
	}
	return err
}

// String tells the action as a line of a story.
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
		return conn + " sends " + message + " and at once closes its sending side"
	case Close:
		return conn + " closes"
	case Kill:
		return "the client of " + conn + " is killed with " + message + " unanswered"
	case Reset:
		if a.Bytes == 0 {
			return conn + " is reset by its client"
		}
		return conn + " sends " + message + " and is at once reset by its client"
	case KillWorker:
		return "the worker of " + conn + " is killed"
	case Storm:
		return "a storm of harmless signals begins"
	case Calm:
		return "the storm ends"
	case Restart:
		return "the server is stopped by SIGTERM and started again"
	case Crash:
		return "the listener is killed and the server started again"
	case Part:
		return client + " is parted from the server"
	case Join:
		return client + " reaches the server again"
	case TakeFiles:
		return "the listener runs out of descriptors"
	case TakeProcesses:
		return "the machine runs out of processes"
	case Release:
		return "the shortage is over"
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
