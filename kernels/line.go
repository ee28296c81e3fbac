// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"encoding/json"
	"io"

	"forkrig/kernels/probes"
	"forkrig/scorecard"
)

// A Line is one thing that is known of a kernel. One field is set. It is a line of JSON where a
// guest says it.
type Line struct {
	Asked  string            `json:"asked,omitempty"` // the probe that is asked now
	Answer *probes.Answer    `json:"answer,omitempty"`
	Bind   *probes.BindRow   `json:"bind,omitempty"`
	Result *scorecard.Result `json:"result,omitempty"` // of a check, as soon as it has ended
	Card   *scorecard.Card   `json:"card,omitempty"`   // when all of them have
}

// Say writes the line.
func (l Line) Say(w io.Writer) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// says says whether a field is set.
func (l Line) says() bool {
	return l.Asked != "" || l.Answer != nil || l.Bind != nil || l.Result != nil || l.Card != nil
}

// A hearer takes what a job prints apart into lines. What is no such line is an error message, of
// which the last ones are kept. It is bounded, whatever the job prints.
type hearer struct {
	said    func(Line)
	begun   []byte // of a line
	tooLong bool   // the line is longer than any: the rest of it is not kept
	other   []string
	tests   *TestRun // of a test binary, which prints other lines
	log     testLog
	over    bool // the job has ended, see Column.jobEnds
}

const (
	keptWords   = 20
	keptOfTests = 100
	longestWord = 4 << 10
	longestLine = 4 << 20 // more than a card has
)

// Write implements [io.Writer].
func (h *hearer) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		line, whole := bytes.CutSuffix(line, []byte("\n"))
		if !h.tooLong {
			h.begun = append(h.begun, line...)
		}
		if len(h.begun) > longestLine {
			h.begun, h.tooLong = h.begun[:longestWord], true
		}
		if whole {
			h.end()
		}
	}
	return len(text), nil
}

// end hears what came after the last end of a line.
func (h *hearer) end() {
	h.hear(h.begun)
	h.begun, h.tooLong = nil, false
}

func (h *hearer) hear(line []byte) {
	line = bytes.TrimSpace(line)
	var l Line
	switch {
	case len(line) == 0:
	case line[0] == '{' && json.Unmarshal(line, &l) == nil && l.says():
		h.said(l)
	default:
		words, kept := scorecard.Printable(string(line[:min(len(line), longestWord)])), keptWords
		if h.tests != nil {
			h.tests.hear(words)
			h.log.hear(words)
			kept = keptOfTests
		}
		h.other = append(h.other, words)
		h.other = h.other[max(0, len(h.other)-kept):]
	}
}
