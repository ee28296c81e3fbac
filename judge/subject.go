// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"forkrig/dialogue"
	"forkrig/rig"
)

// Subject is the server under test: its command line, and what cannot be found
// out by looking at it. Making one starts nothing.
type Subject struct {
	// Command is the program and its arguments. The placeholders {ip}, {host},
	// {port}, {family} and {dir} are replaced in each word: see [Subject.At].
	Command []string
	// Service is what the subject does with bytes; the zero value is found out by a [Trial].
	Service dialogue.Service
	// Closes is the side that closes a connection first; "" means that the dialogue says it.
	Closes Side
	// Dir is its working directory; "" means that of the tests.
	Dir string
	// Port is the port that is built into the subject; 0 means that the command
	// has a {port}, or that the one port on which the subject listens is found out.
	Port uint16
	// User runs the subject as another user; "" means that of the tests. It needs root.
	User string
	// Ready is how long the subject may take until it listens; 0 means 10 s.
	Ready time.Duration
	// OnTerm is what SIGTERM should do to workers that still converse.
	OnTerm Policy
	// StormSignals are signals that the subject should survive, beyond those that
	// no server takes for a command.
	StormSignals []syscall.Signal
	// ByDesign names checks that the subject may fail, because what they find is meant.
	ByDesign []string
	// Reload is how it is told to read its configuration again.
	Reload Reload

	traits      // that the preliminary trial found out: see [Profile.Apply]
	atATime int // clients that it serves at a time, 0 where more are served than were tried
}

// Side is one side of a connection.
type Side string

// The sides.
const (
	Client Side = "client"
	Server Side = "server"
)

// sides are all of them.
var sides = []Side{Client, Server}

// Policy is what a server does on SIGTERM to the workers that still converse.
type Policy string

// The policies. Each is right for some server, so that it must be asked for to
// be judged.
const (
	Unstated Policy = ""
	Drain    Policy = "drain" // they converse on, and the server ends after them
	Kill     Policy = "kill"  // they end at once
	Leave    Policy = "leave" // the server ends, and they converse on
)

// Policies are all of them but [Unstated].
var Policies = []Policy{Drain, Kill, Leave}

// defaultPort is where a subject listens whose command has a {port}. Every lab
// is a world of its own, so it is never taken. It is outside the range that
// the kernel chooses clients' ports from.
const defaultPort = 9999

const defaultReady = 10 * time.Second

// What a user may give in its place.
const (
	minReady = 10 * time.Millisecond
	maxReady = time.Hour
)

// Check returns the first thing that is wrong with the description, and what to do about it.
func (s Subject) Check() error {
	switch {
	case len(s.Command) == 0 || s.Command[0] == "":
		return errors.New("the subject's command is empty: give the program and its arguments")
	case s.Closes != "" && !slices.Contains(sides, s.Closes):
		return fmt.Errorf("side %q that closes first: give client or server", s.Closes)
	case s.OnTerm != Unstated && !slices.Contains(Policies, s.OnTerm):
		return fmt.Errorf("policy on SIGTERM %q: give drain, kill or leave", s.OnTerm)
	case s.Ready < 0 || s.Ready > maxReady || s.Ready > 0 && s.Ready < minReady:
		return fmt.Errorf("ready in %v: give a time from %v to %v", s.Ready, minReady, maxReady)
	}
	if err := s.Reload.check(); err != nil {
		return err
	}
	_, err := s.spoken()
	return err
}

// spoken is the service with the side that closes first as it was given.
func (s Subject) spoken() (dialogue.Service, error) {
	switch s.Closes {
	case Server:
		return s.Service.ClosedByServer(), nil
	case Client:
		service, err := s.Service.ClosedByClient()
		if err != nil {
			err = fmt.Errorf("side client that closes first: %w: leave it out, or give another dialogue", err)
		}
		return service, err
	}
	return s.Service, nil
}

// String returns the command line as a person would type it.
func (s Subject) String() string { return rig.Command{Args: s.Command}.String() }

// has says whether a word of the command has the placeholder.
func (s Subject) has(placeholder string) bool {
	return slices.ContainsFunc(s.Command, func(word string) bool { return strings.Contains(word, placeholder) })
}

// Forks says whether the preliminary trial saw a process that came with a connection.
func (s Subject) Forks() bool { return s.forks }

// ListenPort is where the subject listens; 0 where that is to be found out.
func (s Subject) ListenPort() uint16 {
	if s.Port == 0 && s.has("{port}") {
		return defaultPort
	}
	return s.Port
}

// At returns the command that makes the subject listen at the address, with a directory of
// its own. In every word
//
//	{ip}      is the address, in brackets where it is an IPv6 one followed by a colon
//	{host}    is the address, in brackets where it is an IPv6 one
//	{port}    is the port
//	{family}  is 4 or 6
//	{dir}     is the directory
//
// and every other brace stands for itself.
func (s Subject) At(address netip.AddrPort, dir string) rig.Command {
	return rig.Command{Name: "subject", Args: placed(s.Command, address, dir), Dir: s.Dir, User: s.User}
}

// placed replaces the placeholders in each word. The last ones are pairs of further placeholders
// and what takes their place.
func placed(words []string, address netip.AddrPort, dir string, further ...string) []string {
	ip, host, family := address.Addr().String(), address.Addr().String(), "4"
	if address.Addr().Is6() {
		host, family = "["+ip+"]", "6"
	}
	replacer := strings.NewReplacer(append(further, "{ip}:", host+":", "{ip}", ip, "{host}", host,
		"{port}", strconv.Itoa(int(address.Port())), "{family}", family, "{dir}", dir)...)
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = replacer.Replace(word)
	}
	return all
}
