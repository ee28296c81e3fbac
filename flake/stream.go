// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// verdict is how a test ended.
type verdict string

const (
	unfinished verdict = ""
	passed     verdict = "PASS"
	failed     verdict = "FAIL"
	skipped    verdict = "SKIP"
)

// test is one run of a test or subtest.
type test struct {
	name    string
	verdict verdict
	output  bytes.Buffer // what it printed; dropped where it passed
	parent  bool         // it has subtests
}

// mostOutput is how much of a test's output is kept, in bytes.
const mostOutput = 4 << 20

func (t *test) print(text []byte) {
	if t.verdict == passed || t.verdict == skipped {
		return
	}
	if room := mostOutput - t.output.Len(); len(text) > room {
		text = text[:max(room, 0)]
	}
	t.output.Write(text)
}

// marker precedes what package testing itself prints with -test.v=test2json, so
// that nothing that a test prints is taken for it. It may stand in the middle of
// a line, after what a test printed without a newline.
const marker = 0x16

// stream makes tests of what a test binary prints with -test.v=test2json. The
// words are those that cmd/internal/test2json reads. Its zero value is ready.
type stream struct {
	tests   []*test // in the order in which they began
	latest  map[string]*test
	current *test // whose output comes
}

// read takes in everything up to the end of r.
func (s *stream) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n') // a longer line comes in parts
		s.line(line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read the tests' output: %w", err)
		}
	}
}

func (s *stream) line(line []byte) {
	for {
		before, after, found := bytes.Cut(line, []byte{marker})
		if s.current != nil {
			s.current.print(before)
		}
		if !found {
			return
		}
		if s.word(strings.TrimSuffix(string(after), "\n")) {
			return
		}
		line = after
	}
}

// word takes in a line of package testing, and says whether it is one.
func (s *stream) word(line string) bool {
	if name, ok := strings.CutPrefix(line, "=== RUN   "); ok {
		s.begin(name)
		return true
	}
	for _, turn := range []string{"=== NAME  ", "=== CONT  ", "=== PAUSE "} {
		if name, ok := strings.CutPrefix(line, turn); ok {
			s.current = s.latest[name]
			return true
		}
	}
	for _, v := range []verdict{passed, failed, skipped} {
		rest, ok := strings.CutPrefix(line, "--- "+string(v)+": ")
		if !ok {
			continue
		}
		name := rest
		if i := strings.LastIndex(rest, " ("); i >= 0 {
			name = rest[:i]
		}
		t := s.latest[name]
		if t == nil || t.verdict != unfinished {
			return false
		}
		t.verdict = v
		if v != failed {
			t.output = bytes.Buffer{}
		}
		s.current = t // its output follows
		return true
	}
	if line == string(passed) || line == string(failed) { // of the whole binary
		s.current = nil
		return true
	}
	return false
}

func (s *stream) begin(name string) {
	if s.latest == nil {
		s.latest = map[string]*test{}
	}
	t := &test{name: name}
	s.tests = append(s.tests, t)
	s.latest[name] = t
	s.current = t
	for i := range name {
		if name[i] != '/' {
			continue
		}
		if parent := s.latest[name[:i]]; parent != nil {
			parent.parent = true
		}
	}
}

// runs returns the tests that count: the leaves, and those with subtests that
// failed although none of these did.
func (s *stream) runs() []*test {
	var counted []*test
	for _, t := range s.tests {
		if !t.parent || t.verdict == failed && !s.failedBelow(t.name) {
			counted = append(counted, t)
		}
	}
	return counted
}

func (s *stream) failedBelow(name string) bool {
	for _, t := range s.tests {
		if t.verdict == failed && strings.HasPrefix(t.name, name+"/") {
			return true
		}
	}
	return false
}
