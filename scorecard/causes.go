// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// End is how a subject was at the end of a check that it failed, where it serves no client
// any more. The zero value is that of a subject that goes on.
type End struct {
	// Kind is "exited", "killed", "deaf" (it serves no new client), "busy" (it is in a busy loop)
	// or "gone" (a daemon, whose status is not known).
	Kind   string `json:"kind"`
	Status int    `json:"status,omitempty"` // the exit status of one that exited
	Signal string `json:"signal,omitempty"` // the one that killed it, such as "SIGPIPE"
	// Words are what it wrote last about itself; "" where it wrote nothing that it does not
	// write otherwise. Two are compared as [MaskWords] has them.
	Words string     `json:"words,omitempty"`
	After []Stimulus `json:"after,omitempty"` // the stimuli since it last served a new client, the last one last
}

// The kinds of ends.
const (
	Exited = "exited"
	Killed = "killed"
	Gone   = "gone"
	Deaf   = "deaf"
	Busy   = "busy"
)

// String says how it ended as the start of a sentence, such as "the server ends with status 1".
func (e End) String() string {
	switch e.Kind {
	case Exited:
		return fmt.Sprintf("the server ends with status %d", e.Status)
	case Killed:
		return "the server is killed by " + oneLine(e.Signal)
	case Gone:
		return "the server ends"
	case Deaf:
		return "the server serves no new client"
	case Busy:
		return "the server is in a busy loop"
	}
	return "the server " + oneLine(e.Kind)
}

// same says whether both ends are the same but for what came before. Where the last stimulus is
// the same, the words may differ, as those of read and write do; and with the same words it may
// be deaf in one check and have exited in another.
func (e End) same(other End) bool {
	sameStimulus := last(e.After) != "" && last(e.After) == last(other.After)
	sameWords := MaskWords(e.Words) == MaskWords(other.Words)
	if sameStimulus && sameWords && e.Words != "" {
		return true // it goes about its end in the same way, and may have a client left to serve before it
	}
	return e.Kind == other.Kind && e.Status == other.Status && e.Signal == other.Signal && (sameStimulus || sameWords)
}

// Cause is the one thing that explains several verdicts.
type Cause struct {
	ID int `json:"id"` // from 1, in the order of the card
	// Text says it in a sentence without an end, such as "the server ends with status 1 when a
	// client resets its connection".
	Text     string   `json:"text"`
	End      *End     `json:"end,omitempty"`      // how the subject was then; nil where it went on
	Stimulus Stimulus `json:"stimulus,omitempty"` // the last one that the checks share; "" for none
	Remedy   string   `json:"remedy,omitempty"`   // what to do about it; "" where that is not known
	Families []string `json:"families,omitempty"` // those in which it was seen
	Checks   []string `json:"checks"`             // that fail because of it
	Unjudged int      `json:"unjudged,omitempty"` // how many checks were not judged because of it
	// Recording is that of the preliminary trial that showed it, see [Result].
	Recording string `json:"recording,omitempty"`
}

// String returns the cause with its number and what follows from it, in one printable line.
func (c Cause) String() string { return c.sentence(maxText, maxWords, " because of it") }

// sentence is String with at most so many columns of the text and of the subject's own words,
// and with another end of what it says on checks that fail.
func (c Cause) sentence(text, words int, because string) string {
	s := fmt.Sprintf("cause %d: %s", c.ID, cut(oneLine(c.Text), text))
	if c.End != nil && c.End.Words != "" {
		s += `: "` + cutMiddle(timeBefore.ReplaceAllString(oneLine(c.End.Words), ""), words) + `"`
	}
	switch n := len(c.Checks); {
	case n == 1:
		s += fmt.Sprintf("; %s fails%s", cut(oneLine(c.Checks[0]), nameColumns), because)
	case n > 1:
		s += fmt.Sprintf("; %d checks fail%s", n, because)
	}
	if c.Unjudged > 0 {
		s += "; " + Counted(c.Unjudged, "check is", "checks are") + " not judged"
		if len(c.Families) == 1 {
			s += " over " + cut(oneLine(c.Families[0]), familyColumns)
		}
	}
	return s
}

// timeBefore is the time at the begin of a line of a log.
var timeBefore = regexp.MustCompile(`^\[?[0-9]{2,4}[-/:][0-9]{2}[-/:][0-9]{2}[-0-9:.,TZ+ ]*\]?:? *`)

// How many columns of a cause are shown where there is room.
const (
	maxText  = 1000
	maxWords = 160
)

// NewCause returns the cause of what a subject did at the end of a check, after a stimulus; "" is
// an unknown one.
func NewCause(end End, stimulus Stimulus) Cause {
	cause := Cause{Text: end.String(), End: &end, Stimulus: stimulus}
	if stimulus != "" {
		cause.Text += " " + stimulus.String()
	}
	return cause
}

// FindCauses returns the causes of what failed, and enters their numbers in the results: see
// [Result.CauseID]. Fails with the same end that share a stimulus since the subject last served
// a new client have one cause (the words may differ where the last stimulus is the same), named
// after the last stimulus that they share. known are causes that are known already, which come
// first, and get further checks. A remedy stays where the check did nothing to the subject after
// the stimulus of the cause: otherwise it may be about something else.
func FindCauses(results []Result, known ...Cause) []Cause {
	var groups []*group
	for _, cause := range known {
		groups = append(groups, &group{Cause: cause, known: true})
	}
	for i, r := range results {
		if r.Verdict != Fail || r.End == nil && r.CauseID == 0 {
			continue
		}
		j := slices.IndexFunc(groups, func(g *group) bool { return g.includes(r) })
		if j < 0 && r.End == nil {
			continue // a cause that is not known
		}
		if j < 0 {
			j = len(groups)
			groups = append(groups, &group{Cause: Cause{End: r.End}, shared: r.End.After})
		}
		groups[j].add(i, r)
	}
	slices.SortStableFunc(groups[len(known):], func(a, b *group) int { return len(b.Checks) - len(a.Checks) })
	var causes []Cause
	for n, g := range groups {
		g.ID = n + 1
		if !g.known {
			named := NewCause(*g.End, last(g.shared))
			g.Text, g.Stimulus = named.Text, named.Stimulus
		}
		for _, i := range g.members {
			r := &results[i]
			about := r.CauseID != 0 // it judges the stimulus of a known cause
			r.CauseID = g.ID
			if !about && r.End != nil && last(r.End.After) != g.Stimulus {
				r.Remedy = ""
			}
			g.Remedy = cmp.Or(g.Remedy, r.Remedy)
		}
		causes = append(causes, g.Cause)
	}
	return causes
}

// A group is a cause while it is found.
type group struct {
	Cause
	known   bool
	shared  []Stimulus // by all members
	members []int      // as indices of the results
}

// includes says whether the result belongs to the group.
func (g *group) includes(r Result) bool {
	switch {
	case g.known && r.CauseID == g.ID:
		return true
	case r.CauseID != 0 || r.End == nil || g.End == nil || !g.End.same(*r.End):
		return false
	case g.known:
		return slices.Contains(r.End.After, g.Stimulus)
	case len(g.shared)+len(r.End.After) == 0:
		return slices.Contains(g.Checks, r.Name)
	}
	return len(common(g.shared, r.End.After)) > 0
}

func (g *group) add(i int, r Result) {
	g.members = append(g.members, i)
	g.Checks, g.Families = addNew(g.Checks, r.Name), addNew(g.Families, r.Family)
	if r.End != nil && !g.known {
		g.shared = common(g.shared, r.End.After)
	}
}

// masked finds what differs between two runs of a program that says the same: numbers,
// addresses and times.
var masked = regexp.MustCompile(`0x[0-9a-fA-F]+|\[[0-9a-fA-F:.]*\](?::[0-9]+)?` +
	`|(?:[0-9a-fA-F]{0,4}:){2,}[0-9a-fA-F.]+|[0-9]+(?:[.:,/-][0-9]+)*`)

// MaskWords returns a line that a subject wrote with its numbers, addresses and times masked, so
// that two runs that say the same say it in the same bytes.
func MaskWords(line string) string { return strings.TrimSpace(masked.ReplaceAllString(line, "N")) }
