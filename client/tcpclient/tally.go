package tcpclient

import "sync"

// mostErrors is how many errors a report quotes.
const mostErrors = 8

// A tally is what the connections of a load came to. It is safe for concurrent use.
type tally struct {
	mu sync.Mutex

	Outcomes      [outcomes]int
	Messages      int
	BytesSent     int64
	BytesReceived int64
	Connect       histogram
	RoundTrip     histogram
	Errors        []string
}

// change runs f while no other goroutine uses the tally.
func (t *tally) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// end counts a connection that has ended, with err or well.
func (t *tally) end(err error) {
	t.change(func() {
		t.Outcomes[outcomeOf(err)]++
		if err != nil && len(t.Errors) < mostErrors {
			t.Errors = append(t.Errors, err.Error())
		}
	})
}

// giveUp counts n connections that were never tried, or of which nothing is known.
func (t *tally) giveUp(n int, err error) {
	t.change(func() {
		t.Outcomes[failedOtherwise] += n
		if len(t.Errors) < mostErrors {
			t.Errors = append(t.Errors, err.Error())
		}
	})
}

// merge adds what another process has come to; nobody else uses other any more.
func (t *tally) merge(other *tally) {
	t.change(func() {
		for o, n := range other.Outcomes {
			t.Outcomes[o] += n
		}
		t.Messages += other.Messages
		t.BytesSent += other.BytesSent
		t.BytesReceived += other.BytesReceived
		t.Connect.merge(other.Connect)
		t.RoundTrip.merge(other.RoundTrip)
		t.Errors = append(t.Errors, other.Errors...)
		t.Errors = t.Errors[:min(len(t.Errors), mostErrors)]
	})
}

// progress returns how many connections have ended, and how many of them badly.
func (t *tally) progress() (done, failed int) {
	t.change(func() {
		for o, n := range t.Outcomes {
			done += n
			if outcome(o) != succeeded {
				failed += n
			}
		}
	})
	return done, failed
}
