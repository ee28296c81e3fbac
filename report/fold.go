// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"forkrig/recorder"
	"forkrig/scorecard"
)

const (
	nearFocus = 50  // so many events before and after the focus stay as long as anything does
	maxFolded = 160 // bytes of a text that is folded
)

// folds leave out detail, what is missed least first. Each returns a sentence on what it left
// out, "" where that is nothing. excess is how many bytes are too many.
var folds = []func(s *sheet, excess int) string{
	(*sheet).foldFirstBytes,
	(*sheet).foldNumbers,
	(*sheet).foldTexts,
	func(s *sheet, excess int) string {
		return s.drop(excess, "lines of output", func(r row) bool { return r.kind() == recorder.Output })
	},
	func(s *sheet, excess int) string {
		return s.drop(excess, "packets that open, close or reset nothing", plain)
	},
	func(s *sheet, excess int) string {
		return s.drop(excess, "events", func(row) bool { return true })
	},
	(*sheet).foldStrangers,
	(*sheet).foldAll,
}

// fold returns the sheet as JSON of at most so many bytes, if it needs more without detail, and says
// in it what was left out.
func (s *sheet) fold(limit int) []byte {
	text := s.encode()
	for _, fold := range folds {
		if len(text) <= limit {
			break
		}
		const sentence = 200 // room for what is said about it
		if said := fold(s, len(text)-limit+sentence); said != "" {
			s.LeftOut = append(s.LeftOut, "by the page: "+said)
		}
		text = s.encode()
	}
	return text
}

func (s *sheet) foldFirstBytes(int) string {
	n := 0
	for _, r := range s.Events {
		if p := r.packet(); p != nil && p[8] != "" {
			p[8] = ""
			n++
		}
	}
	return ofCount("the first bytes of %s", n, "packet", "packets")
}

func (s *sheet) foldNumbers(int) string {
	n := 0
	for _, r := range s.Events {
		if p := r.packet(); p != nil {
			p[4], p[5], p[6] = nil, nil, nil
			n++
		}
	}
	return ofCount("the sequence numbers and windows of %s", n, "packet", "packets")
}

func (s *sheet) foldTexts(int) string {
	n := 0
	for _, r := range s.Events {
		if text := r.text(); len(text) > 2*maxFolded && r.id() != s.Focus {
			r[7] = clean(text, maxFolded)
			n++
		}
	}
	return ofCount("the ends of %s", n, "long text", "long texts")
}

// drop leaves out the oldest events of those that are meant, as many as need be, but none near
// the focus.
func (s *sheet) drop(excess int, what string, meant func(row) bool) string {
	focus := slices.IndexFunc(s.Events, func(r row) bool { return r.id() == s.Focus && s.Focus != 0 })
	var kept []row
	n := 0
	for i, r := range s.Events {
		near := focus >= 0 && i >= focus-nearFocus && i <= focus+nearFocus
		if excess > 0 && !near && meant(r) {
			text, err := json.Marshal(r)
			if err != nil {
				panic(err)
			}
			excess -= len(text) + len(",")
			n++
			continue
		}
		kept = append(kept, r)
	}
	s.Events = kept
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("the oldest %d %s", n, what)
}

// plain says whether a row is a packet with nothing special about it.
func plain(r row) bool {
	p := r.packet()
	if p == nil {
		return false
	}
	flags, marks := p[3].(string), p[9].([]string)
	return len(marks) == 0 && !strings.Contains(flags, "SYN") && !strings.Contains(flags, "FIN") && !strings.Contains(flags, "RST")
}

// foldStrangers leaves out processes, connections and spans that no event names.
func (s *sheet) foldStrangers(int) string {
	named := [3]map[int]bool{{}, {}, {}}
	for _, r := range s.Events {
		for i := range named {
			named[i][r[4+i].(int)] = true
		}
	}
	before := len(s.Processes) + len(s.Connections) + len(s.Spans)
	s.Processes = slices.DeleteFunc(s.Processes, func(p recorder.Process) bool { return !named[0][p.ID] })
	s.Connections = slices.DeleteFunc(s.Connections, func(c recorder.Connection) bool { return !named[1][c.ID] })
	s.Spans = slices.DeleteFunc(s.Spans, func(span recorder.Span) bool { return !named[2][span.ID] })
	n := before - len(s.Processes) - len(s.Connections) - len(s.Spans)
	return ofCount("%s without an event", n, "process, connection or span", "processes, connections and spans")
}

// foldAll leaves nothing but the outcome.
func (s *sheet) foldAll(int) string {
	s.Hosts, s.Processes, s.Connections, s.Spans, s.Names, s.Events, s.Focus = nil, nil, nil, nil, nil, nil, 0
	return "everything but the outcome"
}

func ofCount(format string, n int, one, more string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, scorecard.Counted(n, one, more))
}

// shares divides room among things of these sizes: what is small gets all that it needs, and the
// others get the same.
func shares(sizes []int, room int) []int {
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return sizes[a] - sizes[b] })
	shares := make([]int, len(sizes))
	for n, i := range order {
		shares[i] = min(sizes[i], max(room, 0)/(len(order)-n))
		room -= shares[i]
	}
	return shares
}
