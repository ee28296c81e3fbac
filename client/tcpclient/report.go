// SPDX-License-Identifier: Apache-2.0

package tcpclient

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A Report is the last line of a load with -json. Every connection asked for has exactly
// one outcome: Connections is the sum of OK, Refused, Reset, TimedOut, ClosedEarly,
// Mismatched and Other.
type Report struct {
	Event   string `json:"event"`   // always "report"
	Address string `json:"address"` // the server's, as it was given
	Service string `json:"service"`
	Leave   string `json:"leave"`
	Seed    uint64 `json:"seed"` // -seed with this value repeats the messages

	Connections int `json:"connections"`  // asked for
	OK          int `json:"ok"`           // went as asked from the connect to the close
	Refused     int `json:"refused"`      // connect was answered by a reset
	Reset       int `json:"reset"`        // by the server; while connecting, too, if it was accepted first
	TimedOut    int `json:"timed_out"`    // in connect, a message or the end of the stream
	ClosedEarly int `json:"closed_early"` // by the server, before a reply was complete or while held
	Mismatched  int `json:"mismatched"`   // had a wrong or a surplus byte
	Other       int `json:"other"`        // such as unreachable, or no local port

	Messages      int   `json:"messages"`       // verified to the last byte
	BytesSent     int64 `json:"bytes_sent"`     // taken by the kernel
	BytesReceived int64 `json:"bytes_received"` // read, wrong ones included

	Duration time.Duration `json:"duration_ns"` // from the first connect to the last close, holding included

	Errors []string `json:"errors"` // the first few, each with connection and addresses
}

// maxErrors is how many errors a report quotes.
const maxErrors = 8

// count counts a connection that has ended, well if err is nil.
func (r *Report) count(err error) {
	*r.outcomes()[outcomeOf(err)].count++
	if err != nil && len(r.Errors) < maxErrors {
		r.Errors = append(r.Errors, err.Error())
	}
}

type namedCount struct {
	name  string
	count *int
}

func (r *Report) outcomes() []namedCount {
	return []namedCount{
		succeeded:       {"ok", &r.OK},
		wasRefused:      {"refused", &r.Refused},
		wasReset:        {"reset", &r.Reset},
		timedOut:        {"timed out", &r.TimedOut},
		closedEarly:     {"closed early", &r.ClosedEarly},
		mismatched:      {"mismatched", &r.Mismatched},
		failedOtherwise: {"other", &r.Other},
	}
}

// Failed returns how many connections did not go as asked.
func (r Report) Failed() int { return r.Connections - r.OK }

// Err returns nil if every connection went as asked, and otherwise says in one line how
// many did not, why, and what the first error was.
func (r Report) Err() error {
	if r.Failed() == 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d connections to %s failed (%s)", r.Failed(), r.Connections, r.Address, r.causes())
	if len(r.Errors) > 0 {
		text += "; first: " + r.Errors[0]
	}
	return errors.New(text)
}

func (r Report) causes() string {
	var causes []string
	for _, failed := range r.outcomes()[succeeded+1:] {
		if *failed.count > 0 {
			causes = append(causes, fmt.Sprintf("%s %d", failed.name, *failed.count))
		}
	}
	return strings.Join(causes, ", ")
}

// print writes the report for a person.
func (r Report) print(w io.Writer) {
	seconds := max(r.Duration.Seconds(), 1e-9)
	fmt.Fprintf(w, "%d connections to %s in %.3f s, %.0f/s, seed %d\n",
		r.Connections, r.Address, seconds, float64(r.Connections)/seconds, r.Seed)
	fmt.Fprintf(w, "  ok          %d\n", r.OK)
	if r.Failed() > 0 {
		fmt.Fprintf(w, "  failed      %d (%s)\n", r.Failed(), r.causes())
	}
	fmt.Fprintf(w, "  messages    %d verified\n", r.Messages)
	fmt.Fprintf(w, "  bytes       %d sent, %d received, %.0f/s\n",
		r.BytesSent, r.BytesReceived, float64(r.BytesSent+r.BytesReceived)/seconds)
	for _, err := range r.Errors {
		fmt.Fprintf(w, "  error: %s\n", err)
	}
}

// A tally is a report that many connections write. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	report Report
}

// add runs f while no other goroutine uses the report.
func (t *tally) add(f func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.report)
}

// summary returns the report of a load that has ended.
func (t *tally) summary(cfg config, duration time.Duration) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report
	r.Event, r.Address, r.Service, r.Leave, r.Seed = "report", cfg.address, string(cfg.service), string(cfg.leave), cfg.seed
	r.Connections, r.Duration, r.Errors = cfg.connections, duration, append([]string{}, r.Errors...)
	return r
}
