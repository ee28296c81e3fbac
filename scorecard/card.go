// SPDX-License-Identifier: Apache-2.0

package scorecard

import "time"

// Card is what all checks together say about one subject. The zero value is a
// card without checks, of a run that has not ended. Its methods change nothing, so
// that it may be read concurrently.
type Card struct {
	Subject string `json:"subject"` // the command line
	Kernel  string `json:"kernel"`
	// Seed repeats the run. In JSON it is a number, as exact as here; many
	// readers in other languages hold numbers as float64, and lose the last
	// digits of a seed above 2^53.
	Seed uint64 `json:"seed"`
	// Complete tells whether the run came to its end. Until then the card has
	// what is known so far.
	Complete bool `json:"complete"`
	// EndedBy says what ended a run that is not complete, such as "SIGINT" or
	// "-within 2m"; "" where the run goes on, or where nothing could be written
	// when it ended, as after SIGKILL.
	EndedBy string `json:"ended_by"`
	// Causes explain several verdicts each, those of the preliminary trial first.
	Causes []Cause  `json:"causes"`
	Checks []Result `json:"checks"` // in the order in which they are shown
	// Machine is what the run had beside the kernel, such as "2 processors, amd64"; "" where that is unknown.
	Machine string  `json:"machine,omitempty"`
	Profile Profile `json:"profile,omitzero"` // of the subject; the zero value where nothing is known
	// Shard is the part of a divided search that this run was, in JSON such as
	// "3/10"; the zero value where the search was not divided.
	Shard Shard `json:"shard,omitzero"`
	// Runs are those that a merged card is made of, see [MergeDirectories]; nil for a card of
	// one run.
	Runs []Run `json:"runs,omitempty"`
}

// Service is what was said to a subject: the name of a preset, or a dialogue.
type Service struct {
	Given string `json:"given,omitempty"` // by the user; "" where it was found out
	Seen  string `json:"seen"`            // the one that the subject was seen to have
	// Closes is the side that was seen to close first, such as "server", where the service
	// does not say it.
	Closes string `json:"closes,omitempty"`
}

// String returns the service in one printable line.
func (s Service) String() string {
	text := "service seen: " + s.Seen
	switch {
	case s.Given != "" && s.Given == s.Seen:
		text = "service given: " + s.Given
	case s.Given != "":
		text = "service given: " + s.Given + "; seen: " + s.Seen
	}
	if s.Closes != "" {
		text += "; the " + s.Closes + " closes first"
	}
	return cut(oneLine(text), maxService)
}

// maxService is how many characters of a service are shown.
const maxService = 200

// Result is what one check says about the subject in one address family. Every
// text may hold any bytes: what is not printable is escaped where it is shown.
type Result struct {
	Name     string  `json:"name"` // of the check, the same for every family
	Verdict  Verdict `json:"verdict"`
	Family   string  `json:"family"`   // such as "IPv4"
	Expected string  `json:"expected"` // what a right subject does
	Observed string  `json:"observed"` // what this one did
	// Findings are the stable names of what is wrong, such as "ENFILE" or "EMFILE-spin", each
	// once: with them a script or [Diff] sees that one of several faults is fixed.
	Findings []string `json:"findings"`
	// Remedy says what is wrong in the subject, and what to do about it, where it failed, warns or
	// is by design. A card of before has it in the field "cause".
	Remedy string `json:"remedy"`
	// Reason says why the check is broken, or was skipped. A card of before has it in the field
	// "cause".
	Reason string `json:"reason"`
	// CauseID is the number of the cause in the card that explains the verdict, see
	// [Card.Causes]; 0 where there is none.
	CauseID int        `json:"cause_id,omitempty"`
	Stimuli []Stimulus `json:"stimuli,omitempty"` // what the check did to the subject, in the order of the last time
	End     *End       `json:"end,omitempty"`     // how the subject was at the end of a fail; nil where it went on
	// Missing is the feature that this machine lacks, such as "ipv6", where the
	// check was skipped because of that.
	Missing string `json:"missing,omitempty"`
	// Unjudged tells that the check was cut short or never began, because the run
	// or the time of the check ended. The verdict is then [Broken], and the reason
	// names what ended it, such as "not judged: ended by SIGINT".
	Unjudged  bool     `json:"unjudged,omitempty"`
	Evidence  []string `json:"evidence"`  // what the kernel showed and what the processes wrote, as lines
	Reproduce string   `json:"reproduce"` // the command that repeats this check alone
	// Recording is the file with what happened in the lab of the check, relative to the card's
	// directory and with / between its parts; "" where it was not recorded. A merged card has that
	// of the run that it shows, where it was.
	Recording string        `json:"recording,omitempty"`
	Duration  time.Duration `json:"-"` // cut to tenths of a millisecond in JSON
	// Runs are the verdicts of all runs in a merged card, of which Verdict is the
	// gravest, see [MergeDirectories]; the zero value means one run.
	Runs Counts `json:"runs,omitzero"`
}

// end says how a run ended that did not come to its end, "" for a complete card.
func (c Card) end() string {
	if c.Complete {
		return ""
	}
	text := "incomplete: the run was killed, or has not ended yet"
	if c.EndedBy != "" {
		text = "incomplete: ended by " + cut(oneLine(c.EndedBy), 100)
	}
	unjudged := 0
	for _, r := range c.Checks {
		if r.Unjudged {
			unjudged++
		}
	}
	if unjudged == 0 {
		return text
	}
	return text + ", " + Counted(unjudged, "check", "checks") + " not judged"
}
