// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultLimit is how many bytes a .. or a regular expression may read.
const DefaultLimit = 1 << 20

// maxCame is how many bytes of what came an error shows.
const maxCame = 64

// Reason says why a reply is not the one that must come.
type Reason string

// The reasons.
const (
	Different  Reason = "different"   // other bytes came
	EndedEarly Reason = "ended early" // the stream ended before the reply was complete
	TooLong    Reason = "too long"    // a .. or a regular expression reached the limit
	Unfinished Reason = "unfinished"  // reading ended with an error, such as that of a deadline
)

// ReplyError says where a reply is not the one that must come. Reason, Wanted, From and At do
// not depend on how the stream was cut.
type ReplyError struct {
	Reason Reason
	// Wanted is the item of the dialogue that did not come, as the dialogue writes it, with the
	// number of the round.
	Wanted string
	// From is where in the reply the item had to begin, and At where the first wrong byte is,
	// or how many bytes came. Both count from 0.
	From, At int
	// Came are the first bytes that came from From on; what came after At is here as far as it
	// was there.
	Came  []byte
	Limit int   // of a TooLong
	Err   error // of an Unfinished
}

func (e *ReplyError) Error() string {
	came := "nothing"
	if len(e.Came) > 0 {
		came = strconv.Quote(string(e.Came[:min(len(e.Came), maxCame)]))
		if len(e.Came) > maxCame || e.At > e.From+len(e.Came) {
			came += "…"
		}
	}
	switch e.Reason {
	case Different:
		return fmt.Sprintf("from byte %d of the reply %s came instead of %s; byte %d differs", e.From, came, e.Wanted, e.At)
	case EndedEarly:
		return fmt.Sprintf("the stream ended after %d bytes of the reply: from byte %d %s came instead of %s", e.At, e.From, came, e.Wanted)
	case TooLong:
		return fmt.Sprintf("%s did not come within %d bytes, which is the limit of .. and of a regular expression: from byte %d %s came",
			e.Wanted, e.Limit, e.From, came)
	}
	return fmt.Sprintf("%s did not come; from byte %d of the reply %s came: %v", e.Wanted, e.From, came, e.Err)
}

// Unwrap returns the error with which reading ended, or nil.
func (e *ReplyError) Unwrap() error { return e.Err }

type outcome int

const (
	more     outcome = iota // the item needs more bytes
	complete                // the item ends with this byte
	wrong                   // the item cannot have this byte
)

// Matcher compares a reply with what a step reads, as it comes. It needs each byte once and
// looks at no byte after the reply, so that it makes no difference how the stream is cut. It
// is not safe for concurrent use.
type Matcher struct {
	step   Step
	number int
	limit  int
	index  int                  // of the item
	wanted string               // the item
	take   func(b byte) outcome // of the item
	atEnd  bool                 // the end of the stream completes the item
	bound  bool                 // the limit holds for the item
	from   int                  // where the item began
	read   int                  // bytes of the reply
	came   []byte               // the first bytes of the item
	err    error
}

// NewMatcher returns a matcher for a step that reads, in the round with this number. A .. and a
// regular expression may read limit bytes each; 0 means [DefaultLimit].
func NewMatcher(step Step, number, limit int) *Matcher {
	if limit <= 0 {
		limit = DefaultLimit
	}
	m := &Matcher{step: step, number: number, limit: limit}
	m.begin()
	return m
}

// Feed takes the next bytes that came. It returns how many of them belong to the reply, and
// whether the reply is complete. Bytes after a complete reply are not looked at. The error is a
// [*ReplyError], and stays.
func (m *Matcher) Feed(b []byte) (n int, done bool, err error) {
	for n < len(b) && !m.Done() && m.err == nil {
		c := b[n]
		if len(m.came) < maxCame+1 {
			m.came = append(m.came, c)
		}
		switch m.take(c) {
		case wrong:
			rest := b[n+1:]
			m.came = append(m.came, rest[:min(len(rest), maxCame+1-len(m.came))]...)
			m.err = m.report(Different)
			return n, false, m.err
		case complete:
			m.read++
			m.index++
			m.begin()
		case more:
			m.read++
			if m.bound && m.read-m.from >= m.limit {
				m.err = m.report(TooLong)
			}
		}
		n++
	}
	return n, m.Done(), m.err
}

// End says that the stream has ended. The error is nil where the reply is then complete.
func (m *Matcher) End() error {
	switch {
	case m.err != nil || m.Done():
		return m.err
	case m.atEnd:
		m.index = len(m.step.items)
		return nil
	}
	m.err = m.report(EndedEarly)
	return m.err
}

// Abort says that reading ended with an error. It returns a [*ReplyError] that wraps it.
func (m *Matcher) Abort(err error) error {
	if m.err == nil {
		e := m.report(Unfinished)
		e.Err = err
		m.err = e
	}
	return m.err
}

// Done says whether the reply is complete.
func (m *Matcher) Done() bool { return m.index >= len(m.step.items) }

// AtEnd says whether the end of the stream would complete the reply now.
func (m *Matcher) AtEnd() bool { return m.atEnd && m.err == nil }

// Read returns how many bytes of the reply came.
func (m *Matcher) Read() int { return m.read }

func (m *Matcher) report(reason Reason) *ReplyError {
	e := &ReplyError{Reason: reason, Wanted: m.wanted, From: m.from, At: m.read, Came: m.came}
	if reason == TooLong {
		e.Limit = m.limit
	}
	return e
}

// begin makes ready for the next item.
func (m *Matcher) begin() {
	m.from, m.came, m.atEnd, m.bound = m.read, nil, false, false
	if m.Done() {
		return
	}
	it, floats := m.step.items[m.index], false
	if it.kind == upTo {
		m.index++
		it, floats = m.step.items[m.index], true
	}
	m.wanted = it.inRound(m.number)
	if floats && it.kind != end {
		m.wanted = ".. " + m.wanted
	}
	m.bound = floats || it.kind == pattern
	switch it.kind {
	case text:
		m.take = exactly(it.bytes(m.number))
		if floats {
			m.take = newPatternRun(literal(it.bytes(m.number)), true).step
		}
	case count:
		left := it.count
		m.take = func(byte) outcome {
			if left--; left == 0 {
				return complete
			}
			return more
		}
	case pattern:
		m.take = newPatternRun(compile(withNumber(it.tree, strconv.Itoa(m.number))), floats).step
	case end:
		m.atEnd = true
		m.take = func(byte) outcome {
			if floats {
				return more
			}
			return wrong
		}
	}
}

// inRound writes the item with the number of the round in its place.
func (it item) inRound(number int) string {
	switch it.kind {
	case text:
		return quote([]string{string(it.bytes(number))})
	case pattern:
		if numbered(it.tree) {
			return "/" + strings.ReplaceAll(it.source, numberWord, strconv.Itoa(number)) + "/"
		}
	case end:
		return "the end of the stream"
	}
	return it.String()
}

// exactly takes these bytes.
func exactly(wanted []byte) func(byte) outcome {
	return func(b byte) outcome {
		switch {
		case b != wanted[0]:
			return wrong
		case len(wanted) == 1:
			return complete
		}
		wanted = wanted[1:]
		return more
	}
}
