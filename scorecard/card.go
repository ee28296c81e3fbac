package scorecard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"
)

// Card is what all checks together say about one subject. The zero value is a
// card without checks. Its methods change nothing, so that it may be read
// concurrently.
type Card struct {
	Subject string // the command line
	Kernel  string
	// Seed repeats the run. In JSON it is a number, as exact as here; many
	// readers in other languages hold numbers as float64, and lose the last
	// digits of a seed above 2^53.
	Seed   uint64
	Checks []Result // in the order in which they are shown
	// Machine is what the run had beside the kernel, such as "2 processors, amd64";
	// "" where nobody said.
	Machine string
	// Shard is the part of a divided search that this run was, such as "3/10",
	// counted from 0; "" where nothing was divided.
	Shard string
	// Runs are those that a merged card is made of, see [Merge]; nil for a card of
	// one run.
	Runs []Run
}

// Result is what one check says about the subject in one address family. Every
// text may hold any bytes: it is made harmless where it is shown.
type Result struct {
	Name      string // of the check, the same for every family
	Verdict   Verdict
	Family    string        // such as "IPv4"
	Expected  string        // what a right subject does
	Observed  string        // what this one did
	Cause     string        // why it is a fail or broken, or the reason of a skip
	Evidence  []string      // what the kernel showed and what the processes wrote, as lines
	Reproduce string        // the command that repeats this check alone
	Duration  time.Duration // cut to tenths of a millisecond in JSON
	// Runs are the verdicts of all runs in a merged card, of which Verdict is the
	// worst, see [Merge]; the zero value means one run.
	Runs     Counts
	Missing  string
	Unjudged bool
}

// Counts are how many results have each verdict.
type Counts struct {
	Pass, Fail, Broken, Skip int
}

// String returns the counts in one line, such as "21 pass, 2 fail, 1 broken, 3 skip".
func (n Counts) String() string {
	return fmt.Sprintf("%d pass, %d fail, %d broken, %d skip", n.Pass, n.Fail, n.Broken, n.Skip)
}

// Counts counts the results. A result with an invalid verdict is broken.
func (c Card) Counts() Counts {
	var n Counts
	for _, r := range c.Checks {
		switch r.Verdict {
		case Pass:
			n.Pass++
		case Fail:
			n.Fail++
		case Skip:
			n.Skip++
		default:
			n.Broken++
		}
	}
	return n
}

// OK tells whether the subject may be called right: something passed, nothing
// failed, nothing is broken. Where every check was skipped nothing was judged,
// and a run that judges nothing must not turn a pipeline green; nor must a card
// without checks.
func (c Card) OK() bool {
	n := c.Counts()
	return n.Pass > 0 && n.Fail == 0 && n.Broken == 0
}

// cardJSON and resultJSON are the format. Every field is always there, but for
// those that a card of one whole run does not need: the machine, the shard, and
// the runs of a merged card.
type cardJSON struct {
	Subject string   `json:"subject"`
	Kernel  string   `json:"kernel"`
	Seed    uint64   `json:"seed"`
	Checks  []Result `json:"checks"`
	Machine string   `json:"machine,omitempty"`
	Shard   string   `json:"shard,omitempty"`
	Runs    []Run    `json:"runs,omitempty"`
}

type resultJSON struct {
	Name      string      `json:"name"`
	Verdict   Verdict     `json:"verdict"`
	Family    string      `json:"family"`
	Expected  string      `json:"expected"`
	Observed  string      `json:"observed"`
	Cause     string      `json:"cause"`
	Evidence  []string    `json:"evidence"`
	Reproduce string      `json:"reproduce"`
	Duration  json.Number `json:"duration_ms"`
	Runs      Counts      `json:"runs,omitzero"`
}

const tenth = time.Millisecond / 10

// MarshalJSON writes every field, also an empty one. It fails for an invalid verdict.
func (c Card) MarshalJSON() ([]byte, error) {
	c.Checks = append([]Result{}, c.Checks...) // [], not null
	return encode(cardJSON(c))
}

// MarshalJSON writes every field, also an empty one. It fails for an invalid verdict.
func (r Result) MarshalJSON() ([]byte, error) {
	tenths := max(r.Duration, 0) / tenth
	return encode(resultJSON{
		r.Name, r.Verdict, r.Family, r.Expected, r.Observed, r.Cause,
		append([]string{}, r.Evidence...), r.Reproduce,
		json.Number(fmt.Sprintf("%d.%d", tenths/10, tenths%10)), r.Runs,
	})
}

// UnmarshalJSON accepts what MarshalJSON writes, see [Parse].
func (c *Card) UnmarshalJSON(data []byte) error {
	var card Card
	var checks, runs []json.RawMessage
	if err := unmarshalObject(data, map[string]any{
		"subject": &card.Subject, "kernel": &card.Kernel, "seed": &card.Seed, "checks": &checks,
	}, map[string]any{"machine": &card.Machine, "shard": &card.Shard, "runs": &runs}); err != nil {
		return err
	}
	if err := checkShard(card.Shard); err != nil {
		return err
	}
	for i, check := range checks {
		var result Result
		if err := result.UnmarshalJSON(check); err != nil {
			if result.Name != "" {
				return fmt.Errorf("check %d (%q): %w", i+1, result.Name, err)
			}
			return fmt.Errorf("check %d: %w", i+1, err)
		}
		card.Checks = append(card.Checks, result)
	}
	for i, text := range runs {
		var run Run
		if err := run.UnmarshalJSON(text); err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		card.Runs = append(card.Runs, run)
	}
	*c = card
	return nil
}

// UnmarshalJSON accepts what MarshalJSON writes, see [Parse].
func (r *Result) UnmarshalJSON(data []byte) error {
	var milliseconds float64
	if err := unmarshalObject(data, map[string]any{
		"name": &r.Name, "verdict": &r.Verdict, "family": &r.Family, "expected": &r.Expected,
		"observed": &r.Observed, "cause": &r.Cause, "evidence": &r.Evidence,
		"reproduce": &r.Reproduce, "duration_ms": &milliseconds,
	}, map[string]any{"runs": &r.Runs}); err != nil {
		return err
	}
	if all := r.Runs; all != (Counts{}) && all.worst() != r.Verdict {
		return fmt.Errorf("verdict %q is not the worst of its runs: %v", r.Verdict, all)
	}
	tenths := math.Round(milliseconds * 10)
	if tenths < 0 || tenths > float64(math.MaxInt64/tenth) {
		return fmt.Errorf("duration_ms %v is out of range", milliseconds)
	}
	r.Duration = time.Duration(tenths) * tenth
	if len(r.Evidence) == 0 {
		r.Evidence = nil
	}
	return nil
}

// unmarshalObject reads a JSON object with exactly the given fields, of which the
// optional ones may be absent, and goes on after an error, so that as much as
// possible is known to the message. It returns the error of the first field in
// alphabetical order.
func unmarshalObject(data []byte, required, optional map[string]any) error {
	var object map[string]json.RawMessage
	if err := describe(json.Unmarshal(data, &object)); err != nil {
		return err
	}
	fields := maps.Clone(required)
	maps.Copy(fields, optional)
	var first error
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, ok := object[name]
		if _, mayBeAbsent := optional[name]; mayBeAbsent && !ok {
			continue
		}
		if !ok || string(value) == "null" {
			first = cmp.Or(first, fmt.Errorf("field %q is missing", name))
		} else if err := describe(json.Unmarshal(value, fields[name])); err != nil {
			first = cmp.Or(first, fmt.Errorf("read field %q: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, ok := fields[name]; !ok {
			first = cmp.Or(first, fmt.Errorf("field %q is unknown", name))
		}
	}
	return first
}

// describe rewords those errors of encoding/json that talk of Go.
func describe(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w at byte %d", err, e.Offset)
	}
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	wanted := "a string"
	switch e.Type.Kind() {
	case reflect.Map:
		wanted = "an object"
	case reflect.Slice:
		wanted = "an array"
	case reflect.Float64:
		wanted = "a number"
	case reflect.Uint64:
		wanted = "a whole number below 2^64"
	}
	return fmt.Errorf("%s is wanted, and this is JSON %s", wanted, e.Value)
}

// encode is json.Marshal that leaves the <, > and & of commands readable.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}

// WriteJSON writes the card as indented JSON that [Parse] reads. Bytes that are
// no UTF-8 become U+FFFD; characters that are not printable are escaped, so that
// the file may be shown on a terminal. It fails for an invalid verdict, and if w
// does.
func (c Card) WriteJSON(w io.Writer) error {
	for i, r := range c.Checks {
		if !r.Verdict.Valid() {
			return fmt.Errorf("write scorecard: check %d (%q): %w", i+1, r.Name, r.Verdict.unknown())
		}
	}
	compact, err := encode(c)
	if err != nil {
		return fmt.Errorf("write scorecard: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return fmt.Errorf("write scorecard: %w", err)
	}
	_, err = w.Write(escapeJSON(b.Bytes()))
	return err
}

// Parse reads one card, as WriteJSON writes it, up to the end of r. Every field
// that WriteJSON always writes has to be there and no unknown one; an unknown verdict, and anything after the card,
// are errors. It does not check that texts are not empty, nor that a check comes
// once per family.
func Parse(r io.Reader) (Card, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Card{}, fmt.Errorf("read scorecard: %w", err)
	}
	var card Card
	if err := describe(json.Unmarshal(data, &card)); err != nil {
		return Card{}, fmt.Errorf("parse scorecard: %w", err)
	}
	return card, nil
}
