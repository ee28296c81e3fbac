package scorecard

import (
	"fmt"
	"slices"
)

// Verdict is what one check concludes about a subject. The zero value is no
// verdict: it is not valid, and is neither written nor parsed.
type Verdict string

// The verdicts.
const (
	Pass   Verdict = "pass"   // the subject did what was expected
	Fail   Verdict = "fail"   // the subject did not
	Broken Verdict = "broken" // nothing is known: a precondition did not come true
	Skip   Verdict = "skip"   // the check does not apply, or cannot run here
)

// verdicts are all of them, those that a reader wants to know of first in front.
var verdicts = []Verdict{Fail, Broken, Skip, Pass}

// Valid tells whether v is one of the four verdicts.
func (v Verdict) Valid() bool { return slices.Contains(verdicts, v) }

// MarshalText returns the verdict's word, or an error if v is not valid.
func (v Verdict) MarshalText() ([]byte, error) {
	if !v.Valid() {
		return nil, v.unknown()
	}
	return []byte(v), nil
}

// UnmarshalText accepts the four verdicts' words alone.
func (v *Verdict) UnmarshalText(text []byte) error {
	if word := Verdict(text); !word.Valid() {
		return word.unknown()
	}
	*v = Verdict(text)
	return nil
}

func (v Verdict) unknown() error {
	return fmt.Errorf("verdict %q is unknown: it is pass, fail, broken or skip", string(v))
}
