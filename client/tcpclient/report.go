package tcpclient

import (
	"fmt"
	"io"
	"strings"
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

	Processes   int `json:"processes"`    // that had connections
	Connections int `json:"connections"`  // asked for
	OK          int `json:"ok"`           // went as asked from the connect to the leaving
	Refused     int `json:"refused"`      // connect was answered by a reset
	Reset       int `json:"reset"`        // by the server; while connecting, too, if it was accepted first
	TimedOut    int `json:"timed_out"`    // in connect, a message or the end of the stream
	ClosedEarly int `json:"closed_early"` // by the server, before a reply was complete or while held
	Mismatched  int `json:"mismatched"`   // had a wrong or a surplus byte
	Other       int `json:"other"`        // such as unreachable, no local port, or a lost process

	Messages      int   `json:"messages"`       // verified to the last byte
	BytesSent     int64 `json:"bytes_sent"`     // taken by the kernel
	BytesReceived int64 `json:"bytes_received"` // read, wrong ones included

	Duration  time.Duration `json:"duration_ns"` // from the first connect to the last close, holding included
	Connect   Percentiles   `json:"connect_ns"`
	RoundTrip Percentiles   `json:"round_trip_ns"` // from the first byte sent to the last byte received

	Errors []string `json:"errors"` // the first few, each with connection and addresses
}

func newReport(cfg config, t *tally, duration time.Duration) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Report{
		Event:         "report",
		Address:       cfg.address,
		Service:       string(cfg.service),
		Leave:         string(cfg.leave),
		Seed:          cfg.seed,
		Processes:     max(cfg.processes, 1),
		Connections:   cfg.connections,
		OK:            t.Outcomes[succeeded],
		Refused:       t.Outcomes[wasRefused],
		Reset:         t.Outcomes[wasReset],
		TimedOut:      t.Outcomes[timedOut],
		ClosedEarly:   t.Outcomes[closedEarly],
		Mismatched:    t.Outcomes[mismatched],
		Other:         t.Outcomes[failedOtherwise],
		Messages:      t.Messages,
		BytesSent:     t.BytesSent,
		BytesReceived: t.BytesReceived,
		Duration:      duration,
		Connect:       t.Connect.percentiles(),
		RoundTrip:     t.RoundTrip.percentiles(),
		Errors:        append([]string{}, t.Errors...),
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
	return fmt.Errorf("%s", text)
}

func (r Report) causes() string {
	var causes []string
	for _, cause := range []struct {
		name  string
		count int
	}{
		{"refused", r.Refused}, {"reset", r.Reset}, {"timed out", r.TimedOut},
		{"closed early", r.ClosedEarly}, {"mismatched", r.Mismatched}, {"other", r.Other},
	} {
		if cause.count > 0 {
			causes = append(causes, fmt.Sprintf("%s %d", cause.name, cause.count))
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
	for _, latency := range []struct {
		name string
		Percentiles
	}{{"connect", r.Connect}, {"round trip", r.RoundTrip}} {
		if latency.Count > 0 {
			fmt.Fprintf(w, "  %-11s p50 %v, p90 %v, p99 %v, max %v\n", latency.name,
				brief(latency.P50), brief(latency.P90), brief(latency.P99), brief(latency.Max))
		}
	}
	for _, err := range r.Errors {
		fmt.Fprintf(w, "  error: %s\n", err)
	}
}

// brief rounds a latency to what is worth reading.
func brief(d time.Duration) time.Duration {
	if d >= time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
