// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"forkrig/dialogue"
	"forkrig/scorecard"
)

// Profile is what was found out about a subject before it is judged. The zero value is that
// of a subject that was not looked at.
type Profile struct {
	// Given is the service that was given; its zero value means that it was found out.
	Given dialogue.Service
	// Seen is the service that was found out, or the given one where it answered as it says.
	Seen dialogue.Service
	// Closes is the side that was seen to close first, where the dialogue does not say it.
	Closes Side
	// Port is where it listens, where neither its command nor its description says that.
	Port uint16

	traits
	facts scorecard.Profile // what the kernel shows, see [Profile.Card]
}

// traits are what checks need to know of a subject and the preliminary trial sees.
type traits struct {
	forks   bool            // a process came with a connection
	serves  string          // how it serves where none comes, "" where that is not known
	lines   bool            // it is an echo that answers whole lines: see [Case.AnswersLines]
	resets  bool            // it ends a conversation with a reset, which clean-close judges
	routine map[string]bool // lines that it writes when nothing is done to it, masked
}

// Apply returns the subject with what was found out in the place of what was not given.
func (p Profile) Apply(s Subject) Subject {
	if s.Service.IsZero() {
		s.Service = p.Seen
	}
	if s.Closes == "" {
		s.Closes = p.Closes
	}
	s.traits = p.traits
	if p.facts.Clients < maxCrowd {
		s.atATime = p.facts.Clients
	}
	if s.ListenPort() == 0 {
		s.Port = p.Port
	}
	return s
}

// Card is the profile as a card has it.
func (p Profile) Card() scorecard.Profile {
	card := p.facts
	card.Service = scorecard.Service{Seen: p.Seen.String(), Closes: string(p.Closes)}
	if !p.Given.IsZero() {
		card.Service.Given = p.Given.String()
	}
	return card
}

// join returns the profile with what another one, which was made in another family, says of
// that family, and with what that one alone found out.
func (p Profile) join(other Profile) Profile {
	if p.Seen.IsZero() || p.Seen.Name == "none" && !other.Seen.IsZero() && other.Seen.Name != "none" {
		p, other = other, p
	}
	p.facts, p.lines, p.resets = p.facts.Join(other.facts), p.lines || other.lines, p.resets || other.resets
	if p.serves != other.serves {
		p.serves = ""
	}
	return p
}

// WrongServiceError says that a subject does not answer as its service says, and answers as
// another one.
type WrongServiceError struct {
	Given, Seen dialogue.Service
	Err         error // how the conversation of the given service ended
}

func (e *WrongServiceError) Error() string {
	return fmt.Sprintf("given: %s; seen: %s: it does not answer as %s does: %v: use -service %s, or -service none",
		cmp.Or(e.Given.Name, "a dialogue"), e.Seen.Name, inWords(e.Given), FirstLine(e.Err), e.Seen.Name)
}

// Unwrap returns how the conversation of the given service ended.
func (e *WrongServiceError) Unwrap() error { return e.Err }

// profile finds out what was not given, by connections that converse or are closed in order,
// and what the kernel shows of the subject meanwhile. The error says that it does not answer as
// its service says.
func (c *Case) profile() (Profile, error) {
	before := c.describe() // a conversation may end it
	p, err := c.speaks()
	before.SpeaksFirst, before.Greeting = p.facts.SpeaksFirst, p.facts.Greeting
	p.facts = before
	c.describeWays(&p)
	return p, err
}

// speaks finds out what the subject says.
func (c *Case) speaks() (Profile, error) {
	given := c.Subject.Service
	if given.IsZero() {
		seen, closes, greeting := c.find()
		p := Profile{Seen: seen, Closes: closes}
		p.speaksFirst(greeting)
		return p, nil
	}
	p := Profile{Given: given, Seen: given}
	k, err := c.Dial(0)
	if err != nil {
		return p, fmt.Errorf("a client cannot connect: %w", err)
	}
	defer k.Close()
	heard := &recording{stream: stream{k}}
	k.converse(c.Service, heard)
	silent := len(given.Dialogue.Hello)+len(given.Dialogue.Round) == 0
	if err = k.Hello(); err == nil {
		p.speaksFirst(heard.came)
		err = k.Exchange()
	}
	if err == nil || silent {
		p.Closes = c.closesFirst(k)
		if silent {
			c.AwaitRest()
			more := make([]byte, maxGreeting)
			n, _ := k.ReadNow(more) // an error: there is nothing
			p.speaksFirst(more[:n])
		}
		k.discard()
		return p, nil
	}
	k.leaveAfter(err)
	if seen, closes, _ := c.find(); seen.Name != "" && seen.Name != "none" && seen.Name != given.Name {
		return Profile{Given: given, Seen: seen, Closes: closes}, &WrongServiceError{Given: given, Seen: seen, Err: err}
	}
	return p, fmt.Errorf("it does not answer as %s does: %w: use -service none for another service", inWords(given), err)
}

// inWords names a service in an error, which has no room for a dialogue.
func inWords(s dialogue.Service) string {
	if s.Name == "" {
		return "the given dialogue"
	}
	return "the service " + s.Name
}

// closesFirst returns [Server] where the subject has closed a connection after a round although
// the dialogue has room for another one.
func (c *Case) closesFirst(k *Conn) Side {
	if c.Subject.Closes != "" || k.service.Lacks(dialogue.Repeats) != "" {
		return ""
	}
	c.AwaitRest()
	if socket, there, err := k.ServerSocket(); err == nil && (!there || closedByServer(socket)) {
		return Server
	}
	return ""
}

// find finds out the service: from the greeting, or by the probes of package dialogue, each on
// a connection of its own. Where nothing matches it is none, or a dialogue that reads the
// greeting: to leave with a greeting unread would reset the connection.
func (c *Case) find() (service dialogue.Service, closes Side, greeting []byte) {
	candidates := dialogue.Probes
	greeting, err := c.greeting()
	defer func() { c.probing = false }()
	switch {
	case err != nil:
		candidates = nil
	case len(greeting) > 0:
		candidates = dialogue.Recognise(greeting)
	}
	for len(candidates) > 0 {
		service := dialogue.MustResolve(candidates[0])
		candidates = candidates[1:]
		closes, came, err := c.probe(service)
		if err != nil && len(came) == 0 && !Hopeless(err) && c.revive() != nil {
			closes, came, err = c.probe(service) // the one before had ended the subject, or this one did
		}
		if err == nil {
			return service, closes, greeting
		}
		c.probing = c.probing || Hopeless(err)
		// A greeting may come later than the rest after the accept.
		if late := dialogue.Recognise(came); len(greeting) == 0 && len(late) > 0 {
			greeting, _, _ = bytes.Cut(came, []byte("\n")) // replies to the probe may follow
			greeting, candidates = append(greeting, '\n'), late
		}
	}
	switch {
	case len(greeting) == 0:
		return dialogue.MustResolve("none"), "", nil
	case bytes.Contains(greeting, []byte("\n")):
		return dialogue.MustResolve(`hello < .. "\n"`), "", greeting
	}
	return dialogue.MustResolve("hello < 1"), "", greeting
}

// greeting returns what the subject says when it has accepted a connection and is at rest.
func (c *Case) greeting() ([]byte, error) {
	if c.defersAccept() {
		return nil, nil // it knows of no client that has said nothing
	}
	k, err := c.Dial(0)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	err = k.AwaitAccepted()
	if c.probing = Hopeless(err); err != nil && !c.probing {
		return nil, err
	}
	c.AwaitRest()
	greeting := make([]byte, maxGreeting)
	n, err := k.ReadNow(greeting)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	c.leaveInOrder(k)
	return greeting[:n], err
}

// probe says a service as a whole on a connection of its own: the hello, two rounds where it
// repeats, and the bye. It returns the side that closed first where the dialogue does not say
// it, and what came. Without an error the service has matched.
func (c *Case) probe(service dialogue.Service) (closes Side, came []byte, err error) {
	k, err := c.Dial(0)
	if err != nil {
		return "", nil, err
	}
	defer k.Close()
	heard := &recording{stream: stream{k}}
	k.converse(service, heard)
	err = k.Hello()
	if err == nil && len(service.Dialogue.Round) > 0 {
		err = k.round()
	}
	if err == nil {
		closes = c.closesFirst(k)
	}
	if err == nil && closes == "" {
		if service.Lacks(dialogue.Repeats) == "" {
			err = k.round()
		}
		if err == nil {
			err = k.conversation.Bye(c.Context())
		}
	}
	k.leaveAfter(err)
	return closes, heard.came, err
}
