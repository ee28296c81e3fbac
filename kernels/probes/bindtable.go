// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// addresses are those to which the sockets of the bind table are bound: the wildcards, specific
// addresses, and IPv4 addresses that are mapped into IPv6.
var addresses = []string{"0.0.0.0", "127.0.0.1", "::", "::only", "::1", "::ffff:0.0.0.0", "::ffff:127.0.0.1"}

// wildcardOnly is :: with IPV6_V6ONLY.
const wildcardOnly = "::only"

// State is how the first socket is when the second one comes.
type State string

// The states of the first socket. ListeningLater is bound until the second socket is bound, and
// listening when that is to listen. Connected and TIME_WAIT are those of a connection that the
// first socket accepted before it was closed, as a server leaves them that is started again.
const (
	Bound          State = "bound"
	ListeningLater State = "listening-later"
	Listening      State = "listening"
	Connected      State = "connected"
	TimeWait       State = "TIME_WAIT"
)

var states = []State{Bound, ListeningLater, Listening, Connected, TimeWait}

type optionSet struct {
	name           string
	address, ports bool
}

// optionSets are the combinations of SO_REUSEADDR and SO_REUSEPORT.
var optionSets = []optionSet{{"no option", false, false}, {"REUSEADDR", true, false}, {"REUSEPORT", false, true}, {"both options", true, true}}

// BindRow is what the kernel answers to a second socket on the port of a first one.
type BindRow struct {
	State     State
	OtherUser bool   // the second socket is another user's
	First     string // its address; "::only" is :: with IPV6_V6ONLY
	Second    string
	// Answers has four groups of four letters: one group for no option, SO_REUSEADDR,
	// SO_REUSEPORT and both on the first socket, and in it one letter for these on the second.
	Answers string
}

// The letters of the answers.
const (
	letterOK          = '.' // bind and listen succeed
	letterBindInUse   = 'b' // bind: EADDRINUSE
	letterListenInUse = 'l' // listen: EADDRINUSE
	letterFirstInUse  = 'f' // listen of the first, which was bound before: EADDRINUSE
	letterOther       = 'x' // another error
)

// key is what identifies the row in a table.
func (r BindRow) key() string {
	user := "same-user"
	if r.OtherUser {
		user = "other-user"
	}
	return fmt.Sprintf("%-15s %-10s %-16s %-16s", r.State, user, r.First, r.Second)
}

// String returns the row as one line.
func (r BindRow) String() string { return r.key() + " " + r.Answers }

// MarshalText returns the row as one line.
func (r BindRow) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText returned.
func (r *BindRow) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	if len(words) != 8 || words[1] != "same-user" && words[1] != "other-user" {
		return fmt.Errorf("no row of the bind table: %q", text)
	}
	*r = BindRow{
		State: State(words[0]), OtherUser: words[1] == "other-user", First: words[2], Second: words[3],
		Answers: strings.Join(words[4:], " "),
	}
	if len(r.letters()) != len(optionSets)*len(optionSets) {
		return fmt.Errorf("no row of the bind table: %q has not 16 answers", text)
	}
	return nil
}

func (r BindRow) letters() string { return strings.ReplaceAll(r.Answers, " ", "") }

// BindTable asks for each combination of states, users and addresses in turn and returns the
// rows. told is called with each as it is known; it may be nil. Rows of another user are there
// where the process may act as one (setfsuid(2)), and rows of IPv6 where the kernel has it.
// Each state and user has a network namespace of its own, and each answer a port of its own.
func BindTable(ctx context.Context, told func(BindRow)) (rows []BindRow, err error) {
	const limit = 2 * time.Minute
	for _, otherUser := range []bool{false, true} {
		for _, state := range states {
			err := inNamespace(ctx, limit, func(n *namespace) {
				for _, row := range n.bindRows(state, otherUser) {
					row.Answers = n.bindAnswers(row)
					rows = append(rows, row)
					if told != nil {
						told(row)
					}
				}
			})
			if err != nil {
				return rows, fmt.Errorf("ask for the bind table, first socket %s: %w", state, err)
			}
		}
	}
	return rows, nil
}

// BindDifference is one answer in which two tables differ.
type BindDifference struct {
	Question string // says what the two sockets are
	A, B     string // what the tables say
}

// String returns the difference as a line.
func (d BindDifference) String() string { return fmt.Sprintf("%s: %s, %s", d.Question, d.A, d.B) }

// Differences returns the answers in which two bind tables differ, in the order of a. Rows that
// one of them does not have differ in nothing.
func Differences(a, b []BindRow) (all []BindDifference) {
	others := map[string]BindRow{}
	for _, row := range b {
		others[row.key()] = row
	}
	for _, row := range a {
		other, known := others[row.key()]
		if !known {
			continue
		}
		ours, theirs := row.letters(), other.letters()
		for i := range min(len(ours), len(theirs)) {
			if ours[i] != theirs[i] {
				all = append(all, BindDifference{row.question(i), inWords(ours[i]), inWords(theirs[i])})
			}
		}
	}
	return all
}

// question says what the i-th answer of the row is about.
func (r BindRow) question(i int) string {
	state, whose := "is "+string(r.State), ""
	switch r.State {
	case TimeWait:
		state = "is in TIME_WAIT"
	case ListeningLater:
		state = "listens once the second is bound"
	}
	if r.OtherUser {
		whose = " of another user"
	}
	first, second := optionSets[i/len(optionSets)], optionSets[i%len(optionSets)]
	return fmt.Sprintf("%s with %s %s, then %s with %s%s", r.First, first.name, state, r.Second, second.name, whose)
}

func inWords(letter byte) string {
	switch letter {
	case letterOK:
		return "OK"
	case letterBindInUse:
		return "bind: EADDRINUSE"
	case letterListenInUse:
		return "listen: EADDRINUSE"
	case letterFirstInUse:
		return "listen of the first: EADDRINUSE"
	}
	return "another error"
}
