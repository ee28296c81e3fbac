// SPDX-License-Identifier: Apache-2.0

package dialogue

import (
	"errors"
	"slices"
)

// IsZero says whether the service is unknown, as the zero value is. None has a name.
func (s Service) IsZero() bool { return s.Name == "" && len(s.Dialogue.all()) == 0 }

// MustResolve is [Resolve] for what is known to be right; otherwise it panics.
func MustResolve(written string) Service {
	s, err := Resolve(written)
	if err != nil {
		panic(err)
	}
	return s
}

// ClosedByServer returns the service of a server that closes first. Where the dialogue does not
// read the end of the stream, it does so at the end of the bye; without a bye after a round,
// which is then the only one; and without a round after anything that comes.
func (s Service) ClosedByServer() Service {
	if slices.ContainsFunc(s.Dialogue.all(), Step.ends) {
		return s
	}
	theEnd := Step{items: []item{{kind: end}}}
	d := s.Dialogue
	switch {
	case len(d.Bye) > 0:
		d.Bye = append(slices.Clone(d.Bye), theEnd)
	case len(d.Round) > 0:
		d.Round = append(slices.Clone(d.Round), theEnd)
	default:
		d.Bye = []Step{{items: []item{{kind: upTo}, {kind: end}}}}
	}
	return s.with(d)
}

// ClosedByClient returns the service where the client closes first: a bye that reads the end of
// the stream is left out. The error says that a round or the hello reads it.
func (s Service) ClosedByClient() (Service, error) {
	d := s.Dialogue
	if slices.ContainsFunc(slices.Concat(d.Hello, d.Round), Step.ends) {
		return s, errors.New("the dialogue reads the end of the stream in its hello or round, so the server closes first")
	}
	if slices.ContainsFunc(d.Bye, Step.ends) {
		d.Bye = nil
	}
	return s.with(d), nil
}

// with returns the service with a dialogue that closes in another way. Without a second round
// there is nothing to pipeline, and no bulk.
func (s Service) with(d Dialogue) Service {
	has := d.Abilities()
	s.Abilities = slices.DeleteFunc(slices.Clone(Abilities), func(a Ability) bool {
		ofServer := (a == Pipelines || a == Bulk) && slices.Contains(s.Abilities, a) && slices.Contains(has, Repeats)
		return !ofServer && !slices.Contains(has, a)
	})
	s.Dialogue = d
	return s
}

// all are the steps of all parts.
func (d Dialogue) all() []Step { return slices.Concat(d.Hello, d.Round, d.Bye) }
