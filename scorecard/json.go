// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// schema is the version of the format that is written. Version 0.1.0 wrote no
// schema, only complete cards, and no field that has another meaning now.
const schema = 2

// maxRuns is where a count of runs stops; the sum of all counts is an int everywhere.
const maxRuns = math.MaxInt32 / 8

// The methods of these types would call themselves.
type (
	plainCard   Card
	plainResult Result
)

// MarshalJSON writes the schema and every field, also an empty one, except those
// that a card of one whole run does not need. It fails for an invalid verdict.
func (c Card) MarshalJSON() ([]byte, error) {
	c.Checks = append([]Result{}, c.Checks...) // [], not null
	c.Causes = append([]Cause{}, c.Causes...)
	for i := range c.Causes {
		c.Causes[i].Checks = append([]string{}, c.Causes[i].Checks...)
	}
	return encode(struct {
		Schema int `json:"schema"`
		plainCard
	}{schema, plainCard(c)})
}

// MarshalJSON writes every field, also an empty one, except those that only some
// results have. It fails for an invalid verdict.
func (r Result) MarshalJSON() ([]byte, error) {
	r.Evidence = append([]string{}, r.Evidence...)
	r.Findings = append([]string{}, r.Findings...)
	tenths := max(r.Duration, 0) / tenth
	return encode(struct {
		plainResult
		Duration json.Number `json:"duration_ms"`
	}{plainResult(r), json.Number(fmt.Sprintf("%d.%d", tenths/10, tenths%10))})
}

// tenth is the precision of a duration in JSON, which has it in milliseconds with one decimal.
const tenth = time.Millisecond / 10

// UnmarshalJSON accepts what MarshalJSON writes, see [Parse].
func (c *Card) UnmarshalJSON(data []byte) error {
	var version struct {
		Schema uint64 `json:"schema"`
	}
	required := []string{"subject", "kernel", "seed", "checks"}
	switch err := describe(json.Unmarshal(data, &version)); {
	case err != nil:
		return err
	case version.Schema > schema:
		return fmt.Errorf("the card has schema %d, and this forkrig reads up to %d: use a newer forkrig",
			version.Schema, schema)
	case version.Schema == schema:
		required = append(required, "complete")
	}
	if err := requireFields(data, required...); err != nil {
		return err
	}
	var card struct {
		plainCard
		Checks []json.RawMessage `json:"checks"`
		// Service is where cards without a profile had it.
		Service Service `json:"service"`
	}
	card.Complete = true // a card without a schema is
	if err := describe(json.Unmarshal(data, &card)); err != nil {
		return err
	}
	incomplete := slices.ContainsFunc(card.Runs, func(r Run) bool { return r.Incomplete })
	if len(card.Runs) > 0 && card.Complete == incomplete {
		return fmt.Errorf("field \"complete\" is %t, but the runs say %t", card.Complete, !incomplete)
	}
	var results []Result
	for i, check := range card.Checks {
		var result Result
		err := result.UnmarshalJSON(check)
		switch {
		case err != nil && result.Name == "":
			return fmt.Errorf("check %d: %w", i+1, err)
		case err != nil:
			return fmt.Errorf("check %d (%q): %w", i+1, result.Name, err)
		case slices.ContainsFunc(results, result.sameCheck):
			return fmt.Errorf("check %d (%q): it is there twice over %q", i+1, result.Name, result.Family)
		}
		results = append(results, result)
	}
	*c = Card(card.plainCard)
	c.Checks = results
	if c.Profile.Service == (Service{}) {
		c.Profile.Service = card.Service
	}
	dropEmptyLists(reflect.ValueOf(c))
	return nil
}

// UnmarshalJSON accepts what MarshalJSON writes, see [Parse].
func (r *Result) UnmarshalJSON(data []byte) error {
	var result struct {
		plainResult
		Cause    string  `json:"cause"` // in a card of before
		Duration float64 `json:"duration_ms"`
	}
	err := describe(json.Unmarshal(data, &result))
	*r = Result(result.plainResult)
	switch {
	case result.Cause == "":
	case r.Verdict == Broken || r.Verdict == Skip:
		r.Reason = cmp.Or(r.Reason, result.Cause)
	default:
		r.Remedy = cmp.Or(r.Remedy, result.Cause)
	}
	if err != nil {
		return err
	}
	if err := requireFields(data, "name", "verdict"); err != nil {
		return err
	}
	for _, k := range kinds {
		if count := r.Runs.of(k.Verdict); count < 0 || count > maxRuns {
			return fmt.Errorf("field \"runs\": %d is not a number of runs from 0 to %d", count, maxRuns)
		}
	}
	if all := r.Runs; all != (Counts{}) && all.worst() != r.Verdict {
		return fmt.Errorf("verdict %q is not the gravest of its runs: %v", r.Verdict, all)
	}
	tenths := math.Round(result.Duration * 10)
	if tenths < 0 || tenths > float64(math.MaxInt64/tenth) {
		return fmt.Errorf("duration_ms %v is out of range", result.Duration)
	}
	r.Duration = time.Duration(tenths) * tenth
	return nil
}

// dropEmptyLists makes each empty list below v nil, so that a card is the same when it was written
// and read.
func dropEmptyLists(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		dropEmptyLists(v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			dropEmptyLists(v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Len() == 0:
		v.SetZero()
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			dropEmptyLists(v.Index(i))
		}
	}
}

// requireFields returns an error if data is not a JSON object with all the fields.
func requireFields(data []byte, names ...string) error {
	var object map[string]json.RawMessage
	if err := describe(json.Unmarshal(data, &object)); err != nil {
		return err
	}
	for _, name := range names {
		if value, ok := object[name]; !ok || string(value) == "null" {
			return fmt.Errorf("field %q is missing", name)
		}
	}
	return nil
}

// describe rewords those errors of encoding/json that speak of Go types.
func describe(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w at byte %d", err, e.Offset)
	}
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	text := fmt.Sprintf("this is JSON %s, and %s is required", e.Value, cmp.Or(inJSON[e.Type.Kind()], "a string"))
	field := strings.TrimPrefix(strings.TrimPrefix(e.Field, "plainCard."), "plainResult.")
	if field == "" {
		return errors.New(text)
	}
	return fmt.Errorf("read field %q: %s", field, text)
}

// inJSON says what JSON has for the kinds of types of a card that are no strings.
var inJSON = map[reflect.Kind]string{
	reflect.Struct: "an object", reflect.Map: "an object", reflect.Slice: "an array", reflect.Bool: "true or false",
	reflect.Float64: "a number", reflect.Int: "a whole number", reflect.Uint64: "a whole number from 0 to 2^64-1",
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
// not UTF-8 become U+FFFD; characters that are not printable are escaped, so that
// the file may be shown on a terminal. It fails for an invalid verdict, and if w
// does.
func (c Card) WriteJSON(w io.Writer) error {
	for i, r := range c.Checks {
		if err := r.Verdict.check(); err != nil {
			return fmt.Errorf("write scorecard: check %d (%q): %w", i+1, r.Name, err)
		}
	}
	var b bytes.Buffer
	compact, err := encode(c)
	if err == nil {
		err = json.Indent(&b, compact, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("write scorecard: %w", err)
	}
	_, err = w.Write(escapeJSON(b.Bytes()))
	return err
}

// Parse reads one card, as WriteJSON writes it, up to the end of r. It reads cards
// of this and of every earlier version: a card without a schema (0.1.0) is
// complete. It ignores fields that it does not know, and refuses a schema that it
// does not know. An unknown verdict is an error, and so is anything after the card.
// A card needs its subject, kernel, seed and checks, a result its name and verdict; a
// check comes once in each family. That texts are not empty is not checked.
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
