// SPDX-License-Identifier: Apache-2.0

package scorecard

import (
	"maps"
	"slices"
)

// Stimulus is something that a check does to the subject, beyond a client that converses and
// leaves in order. In JSON it is one of these words; readers should expect further ones.
type Stimulus string

// The stimuli.
const (
	ClientReset     Stimulus = "client-reset"
	ClientVanishes  Stimulus = "client-vanishes"
	HalfClose       Stimulus = "half-close"
	SlowReader      Stimulus = "slow-reader"
	ManyClients     Stimulus = "many-clients"
	SilentClient    Stimulus = "silent-client"
	Conversation    Stimulus = "conversation"
	ClientLeaves    Stimulus = "client-leaves"
	WorkerEnds      Stimulus = "worker-ends"
	WorkerKilled    Stimulus = "worker-killed"
	Signals         Stimulus = "signals"
	EINTR           Stimulus = "eintr"
	AcceptError     Stimulus = "accept-error"
	NoDescriptors   Stimulus = "no-descriptors"
	ForkRefused     Stimulus = "fork-refused"
	LogClosed       Stimulus = "log-closed"
	LogFull         Stimulus = "log-full"
	SIGTERM         Stimulus = "sigterm"
	Reload          Stimulus = "reload"
	RestartTimeWait Stimulus = "restart-time-wait"
	RestartWorker   Stimulus = "restart-live-worker"
	SecondInstance  Stimulus = "second-instance"
	Restart         Stimulus = "restart"
)

// stimulusWords say each stimulus as the end of a sentence.
var stimulusWords = map[Stimulus]string{
	ClientReset:     "when a client resets its connection",
	ClientVanishes:  "when a client vanishes without FIN or RST",
	HalfClose:       "when a client closes its side of a connection first",
	SlowReader:      "when a client does not read",
	ManyClients:     "when many clients come at once",
	SilentClient:    "while another client is connected and silent",
	Conversation:    "in a conversation",
	ClientLeaves:    "when a client leaves",
	WorkerEnds:      "when a worker ends",
	WorkerKilled:    "when a worker is killed",
	Signals:         "when signals come",
	EINTR:           "when a system call is interrupted (EINTR)",
	AcceptError:     "when accept fails",
	NoDescriptors:   "when it has no free descriptor (EMFILE)",
	ForkRefused:     "when fork fails (EAGAIN)",
	LogClosed:       "when its log is closed (EPIPE, SIGPIPE)",
	LogFull:         "when its log is full",
	SIGTERM:         "on SIGTERM",
	Reload:          "when it is told to reload",
	RestartTimeWait: "when it is started while the port has connections in TIME_WAIT",
	RestartWorker:   "when it is started while a worker of its predecessor lives",
	SecondInstance:  "when another instance listens already",
	Restart:         "when it is started again",
}

// String returns the stimulus as the end of a sentence, such as "when a worker ends".
func (s Stimulus) String() string {
	if words := stimulusWords[s]; words != "" {
		return words
	}
	return "on " + oneLine(string(s))
}

// Ambient says whether it happens along with everything else, as clients and their workers come
// and go.
func (s Stimulus) Ambient() bool { return s == ClientLeaves || s == WorkerEnds || s == ManyClients }

// Stimuli returns all stimuli, for tables.
func Stimuli() []Stimulus { return slices.Sorted(maps.Keys(stimulusWords)) }

// last is the last of the stimuli, "" for none.
func last(stimuli []Stimulus) Stimulus {
	if len(stimuli) == 0 {
		return ""
	}
	return stimuli[len(stimuli)-1]
}

// common returns what is in both lists, in the order of the first. What is ambient counts only
// where nothing else was done.
func common(a, b []Stimulus) []Stimulus {
	special := func(s Stimulus) bool { return !s.Ambient() }
	ambient := !slices.ContainsFunc(a, special) && !slices.ContainsFunc(b, special)
	return slices.DeleteFunc(slices.Clone(a), func(s Stimulus) bool {
		return !slices.Contains(b, s) || s.Ambient() && !ambient
	})
}
