// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what one check concludes about a subject. The zero value is not
// valid: it is neither written nor parsed, and counts as broken.
type Verdict string

// The verdicts.
const (
	Pass     Verdict = "pass"      // the subject did what was expected
	Warn     Verdict = "warn"      // it did not, in a way that is disputed or hardly happens
	ByDesign Verdict = "by-design" // it did not, and its user says that this is meant
	Fail     Verdict = "fail"      // it did not
	Broken   Verdict = "broken"    // nothing is known: a precondition was not met
	Skip     Verdict = "skip"      // the check does not apply, or cannot run here
)

// A kind is what this package knows of a verdict.
type kind struct {
	Verdict
	gravity int  // the gravest of several results decides
	told    bool // a card says at length why
	rare    bool // counts leave it out where nothing has it
	colour  int  // of an ANSI escape sequence
	count   func(*Counts) *int
}

// kinds has a line for each verdict, in the order in which counts list them.
var kinds = []kind{
	{Verdict: Pass, gravity: 0, colour: 32, count: func(n *Counts) *int { return &n.Pass }},
	{Verdict: Warn, gravity: 3, told: true, rare: true, colour: 35, count: func(n *Counts) *int { return &n.Warn }},
	{Verdict: ByDesign, gravity: 1, rare: true, colour: 36, count: func(n *Counts) *int { return &n.ByDesign }},
	{Verdict: Fail, gravity: 5, told: true, colour: 31, count: func(n *Counts) *int { return &n.Fail }},
	{Verdict: Broken, gravity: 4, told: true, colour: 33, count: func(n *Counts) *int { return &n.Broken }},
	{Verdict: Skip, gravity: 2, colour: 2, count: func(n *Counts) *int { return &n.Skip }},
}

// verdictColumns is the width of the longest verdict that is not rare.
const verdictColumns = len(Broken)

// kind returns the line of the verdict, or that of Broken where v is not valid.
func (v Verdict) kind() kind {
	if i := slices.IndexFunc(kinds, func(k kind) bool { return k.Verdict == v }); i >= 0 {
		return kinds[i]
	}
	return Broken.kind()
}

// valid says whether v is one of the verdicts.
func (v Verdict) valid() bool { return v.kind().Verdict == v }

// wrong says whether a card with the verdict is not OK.
func (v Verdict) wrong() bool { return v == Fail || v == Broken }

// MarshalText returns the word of the verdict, or an error if v is not valid.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v), v.check() }

// UnmarshalText accepts the words of the verdicts only.
func (v *Verdict) UnmarshalText(text []byte) error {
	*v = Verdict(text)
	return v.check()
}

// check returns an error that lists the verdicts if v is not one of them.
func (v Verdict) check() error {
	if v.valid() {
		return nil
	}
	return fmt.Errorf("verdict %q is unknown: it is pass, warn, by-design, fail, broken or skip", string(v))
}

// Counts are how many results have each verdict.
type Counts struct {
	Pass     int `json:"pass"`
	Warn     int `json:"warn"`
	ByDesign int `json:"by-design"`
	Fail     int `json:"fail"`
	Broken   int `json:"broken"`
	Skip     int `json:"skip"`
}

// String returns the counts in one line, such as "21 pass, 2 fail, 1 broken, 3 skip"; warn
// and by-design are there where anything has them.
func (n Counts) String() string { return n.text(false) }

// text returns the counts in one line, coloured where there is anything to count.
func (n Counts) text(colour bool) string {
	var parts []string
	for _, k := range kinds {
		if count := *k.count(&n); count > 0 || !k.rare {
			parts = append(parts, paint(fmt.Sprintf("%d %s", count, k.Verdict), k.Verdict, colour && count > 0))
		}
	}
	return strings.Join(parts, ", ")
}

func (n Counts) of(v Verdict) int { return *v.kind().count(&n) }

func (n Counts) all() int {
	sum := 0
	for _, k := range kinds {
		sum += *k.count(&n)
	}
	return sum
}

// worst returns the gravest verdict that anything has, "" where nothing has one.
func (n Counts) worst() (v Verdict) {
	gravest := -1
	for _, k := range kinds {
		if *k.count(&n) > 0 && k.gravity > gravest {
			v, gravest = k.Verdict, k.gravity
		}
	}
	return v
}

func (n Counts) add(m Counts) Counts {
	for _, k := range kinds {
		count := k.count(&n)
		*count = min(*count+*k.count(&m), maxRuns)
	}
	return n
}

// Counts counts the results. A result with an invalid verdict is broken.
func (c Card) Counts() Counts {
	var n Counts
	for _, r := range c.Checks {
		*r.Verdict.kind().count(&n)++
	}
	return n
}

// OK tells whether the subject may be called right: the run came to its end,
// something was judged, nothing failed, nothing is broken, and nothing kept checks from judging
// (see [Card.Causes]). A card whose checks were all skipped is not OK, nor is a card without
// checks: a run that judged nothing must not turn a pipeline green.
func (c Card) OK() bool {
	n := c.Counts()
	return c.Complete && len(c.Causes) == 0 && n.Pass+n.Warn+n.ByDesign > 0 && n.Fail+n.Broken == 0
}

// paint gives s the colour of a verdict.
func paint(s string, v Verdict, colour bool) string {
	if !colour || !v.valid() {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", v.kind().colour, s)
}
