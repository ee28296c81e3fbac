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

// A hearer takes what a job prints apart into lines. What is no such line is an error message, of
// which the last ones are kept.
type hearer struct {
	said  func(Line)
	begun []byte
	other []string
}

const (
	keptWords   = 20
	longestWord = 4 << 10
)

// Write implements [io.Writer].
func (h *hearer) Write(text []byte) (int, error) {
	h.begun = append(h.begun, text...)
	for {
		line, rest, whole := bytes.Cut(h.begun, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		h.hear(line)
		h.begun = rest
	}
}

// end hears what came after the last end of a line.
func (h *hearer) end() {
	h.hear(h.begun)
	h.begun = nil
}

func (h *hearer) hear(line []byte) {
	line = bytes.TrimSpace(line)
	var l Line
	switch {
	case len(line) == 0:
	case line[0] == '{' && json.Unmarshal(line, &l) == nil:
		h.said(l)
	default:
		h.other = append(h.other, scorecard.Printable(string(line[:min(len(line), longestWord)])))
		h.other = h.other[max(0, len(h.other)-keptWords):]
	}
}
