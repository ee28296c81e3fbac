// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Run is one of the runs of a merged card.
type Run struct {
	Shard      Shard  `json:"shard"` // the zero value, in JSON "", where the search was not divided
	Seed       uint64 `json:"seed"`
	Kernel     string `json:"kernel"`
	Machine    string `json:"machine"`
	Incomplete bool   `json:"incomplete,omitempty"` // the run did not come to its end
	EndedBy    string `json:"ended_by,omitempty"`   // what ended it, see [Card.EndedBy]
}

// runs returns the verdicts of all runs, also where there was one.
func (r Result) runs() Counts {
	if r.Runs != (Counts{}) {
		return r.Runs
	}
	return Card{Checks: []Result{r}}.Counts()
}

// often says how many runs of a merged card have the verdict, "" for one run.
func (r Result) often() string {
	all := r.Runs.all()
	if all < 2 {
		return ""
	}
	return fmt.Sprintf("in %d of %d runs", r.Runs.of(r.Verdict), all)
}

// runs returns the runs of a card, also where there was one.
func (c Card) runs() []Run {
	if len(c.Runs) > 0 {
		return c.Runs
	}
	return []Run{{c.Shard, c.Seed, c.Kernel, c.Machine, !c.Complete, c.EndedBy}}
}

// Origin says in one printable line from which kernel and seed the card is; of a
// merged card, from how many runs, and which shards are missing.
func (c Card) Origin() string {
	kernel := "kernel " + cut(oneLine(c.Kernel), 100)
	if machine := cut(oneLine(c.Machine), 100); machine != "" {
		kernel += ", " + machine
	}
	if len(c.Runs) == 0 {
		if c.Shard != (Shard{}) {
			kernel = fmt.Sprintf("shard %v, %s", c.Shard, kernel)
		}
		text := fmt.Sprintf("%s, seed %d", kernel, c.Seed)
		if s := c.Profile.Service; s != (Service{}) {
			text += "; " + s.String()
		}
		return text
	}
	text := fmt.Sprintf("%s on %s, first seed %d", Counted(len(c.Runs), "run", "runs"), kernel, c.Seed)
	if missing, of := c.missingShards(); len(missing) > 0 {
		text += fmt.Sprintf(", shards missing: %s of %d", numbers(missing), of)
	}
	return text
}

// missingShards returns the shards of which the card has no run, and how many shards
// there are. Both are zero where the search was not divided.
func (c Card) missingShards() (missing []int, of int) {
	seen := map[int]bool{}
	for _, r := range c.runs() {
		if r.Shard != (Shard{}) {
			seen[r.Shard.Index], of = true, max(of, r.Shard.of())
		}
	}
	for i := range of {
		if !seen[i] {
			missing = append(missing, i)
		}
	}
	return missing, of
}

// numbers lists the first of ascending numbers, neighbours as a range: "1, 4-6".
func numbers(all []int) string {
	const most = 20
	var parts []string
	for len(all) > 0 {
		if len(parts) == most {
			return strings.Join(parts, ", ") + fmt.Sprintf(" and %d more", len(all))
		}
		n := 1
		for n < len(all) && all[n] == all[0]+n {
			n++
		}
		part := strconv.Itoa(all[0])
		if n > 1 {
			part += "-" + strconv.Itoa(all[n-1])
		}
		parts, all = append(parts, part), all[n:]
	}
	return strings.Join(parts, ", ")
}

// Source is a card with its name for messages.
type Source struct {
	Name string // such as its file
	Card Card
}

// merge makes one card of several, see [MergeDirectories].
func merge(sources ...Source) (Card, error) {
	if len(sources) == 0 {
		return Card{}, fmt.Errorf("merge scorecards: there is no card")
	}
	first := sources[0]
	merged := Card{Subject: first.Card.Subject, Seed: first.Card.runs()[0].Seed, Complete: true}
	var checkFrom []string // the name of the first card that has each check
	shards := map[Shard]string{}
	divided, of := "", 0 // the name of the first card of a shard, and how many shards it says there are
	for i, s := range sources {
		if s.Card.Subject != merged.Subject {
			return Card{}, contradiction(s.Name, first.Name, "subject", s.Card.Subject, merged.Subject)
		}
		for _, other := range sources[:i] {
			if reflect.DeepEqual(other.Card, s.Card) {
				return Card{}, fmt.Errorf("merge scorecards: %s and %s are the same card: leave one out", s.Name, other.Name)
			}
		}
		for _, run := range s.Card.runs() {
			merged.Runs = append(merged.Runs, run)
			if run.Shard == (Shard{}) {
				continue
			}
			if other, twice := shards[run.Shard]; twice {
				return Card{}, fmt.Errorf("merge scorecards: %s and %s are the same: "+
					"field \"shard\" is \"%v\" in both; leave one out", s.Name, other, run.Shard)
			}
			if of != 0 && run.Shard.of() != of {
				return Card{}, contradiction(s.Name, divided, "shard", run.Shard.String(), fmt.Sprintf("…/%d", of))
			}
			shards[run.Shard], divided, of = s.Name, cmp.Or(divided, s.Name), run.Shard.of()
		}
		if reflect.ValueOf(merged.Profile).IsZero() {
			merged.Profile = s.Card.Profile
		}
		ids := merged.addCauses(s.Card.Causes)
		for _, r := range s.Card.Checks {
			r.Runs, r.CauseID = r.runs(), ids[r.CauseID]
			i := slices.IndexFunc(merged.Checks, r.sameCheck)
			if i < 0 {
				r.Verdict = r.Runs.worst()
				merged.Checks, checkFrom = append(merged.Checks, r), append(checkFrom, s.Name)
				continue
			}
			old := merged.Checks[i]
			if r.Expected != old.Expected {
				field := fmt.Sprintf("expected\" of check \"%s", r.Name)
				return Card{}, contradiction(s.Name, checkFrom[i], field, r.Expected, old.Expected)
			}
			merged.Checks[i] = old.with(r)
		}
	}
	var kernels, machines, ends []string
	for _, run := range merged.Runs {
		kernels, machines = addNew(kernels, run.Kernel), addNew(machines, run.Machine)
		if run.Incomplete {
			merged.Complete, ends = false, addNew(ends, run.EndedBy)
		}
	}
	merged.Kernel, merged.Machine, merged.EndedBy = enumerate(kernels), enumerate(machines), enumerate(ends)
	return merged, nil
}

// addCauses adds the causes of a further card, and returns their numbers here by those there. What
// has the same words is the same cause.
func (c *Card) addCauses(further []Cause) (ids map[int]int) {
	ids = map[int]int{}
	for _, cause := range further {
		i := slices.IndexFunc(c.Causes, func(old Cause) bool { return old.Text == cause.Text })
		if i < 0 {
			i = len(c.Causes)
			c.Causes = append(c.Causes, cause)
		}
		here := &c.Causes[i]
		ids[cause.ID], here.ID = i+1, i+1
		here.Checks, here.Families = addNew(slices.Clone(here.Checks), cause.Checks...), addNew(slices.Clone(here.Families), cause.Families...)
		here.Unjudged = max(here.Unjudged, cause.Unjudged)
	}
	return ids
}

// with returns the result together with a further one of the same check.
func (r Result) with(further Result) Result {
	all := r.Runs.add(further.Runs)
	findings := addNew(slices.Clone(r.Findings), further.Findings...)
	duration := max(r.Duration, 0) + max(further.Duration, 0)
	if duration < 0 {
		duration = math.MaxInt64
	}
	if further.Runs.of(all.worst()) > 0 && r.Runs.of(all.worst()) == 0 {
		r = further
	}
	r.Runs, r.Verdict, r.Duration, r.Findings = all, all.worst(), duration, findings
	return r
}

// addNew appends what the list does not have.
func addNew(all []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func contradiction(name, other, field, value, otherValue string) error {
	return fmt.Errorf("merge scorecards: field \"%s\" is %s in %s and %s in %s; merge cards of the same search only",
		field, quote(otherValue), other, quote(value), name)
}

// quote returns a text of unknown length and content for a message.
func quote(s string) string { return strconv.Quote(shorten(s, 200)) }
