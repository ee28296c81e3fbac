// SPDX-License-Identifier: Apache-2.0

package inject

import "fmt"

// Where chooses processes of the subject. A listener is a process that has called
// listen, or accept or accept4 where those are trapped. Every other process is
// a worker, also one that has not listened yet: set rules once the subject listens.
// The zero value is Anywhere.
type Where uint8

// The processes a rule may be for.
const (
	Anywhere Where = iota
	Listener
	Workers
)

func (w Where) String() string {
	switch w {
	case Anywhere:
		return "anywhere"
	case Listener:
		return "listener"
	case Workers:
		return "workers"
	}
	return fmt.Sprintf("Where(%d)", uint8(w))
}

// includes says whether a process that is a listener or a worker is meant.
func (w Where) includes(is Where) bool { return w == Anywhere || w == is }
