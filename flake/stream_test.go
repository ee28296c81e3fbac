// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStream(t *testing.T) {
	for name, test := range map[string]struct {
		input string // ~ stands for the marker
		want  []string
	}{
		"nothing":  {"", nil},
		"no tests": {"testing: warning: no tests to run\n~PASS\n", nil},
		"a test":   {"~=== RUN   TestA\n~--- PASS: TestA (0.00s)\n~PASS\n", []string{"PASS TestA "}},
		"leaves count": {
			"~=== RUN   TestA\n~=== RUN   TestA/x\n~=== PAUSE TestA/x\n~=== RUN   TestA/y\n~=== CONT  TestA/x\n    f_test.go:1: no\n" +
				"~--- FAIL: TestA/x (0.10s)\n~--- SKIP: TestA/y (0.00s)\n~--- FAIL: TestA (0.10s)\n~FAIL\n",
			[]string{"FAIL TestA/x     f_test.go:1: no\n", "SKIP TestA/y "},
		},
		"a parent that fails by itself": {
			"~=== RUN   TestA\n~=== RUN   TestA/x\n~--- PASS: TestA/x (0.00s)\n~=== NAME  TestA\n    f.go:2: bad\n~--- FAIL: TestA (0.00s)\n~FAIL\n",
			[]string{"FAIL TestA     f.go:2: bad\n", "PASS TestA/x "},
		},
		"output after the verdict": {
			"~=== RUN   TestA\n~--- FAIL: TestA (0.00s)\n    f.go:3: late\n~=== NAME  \nnobody's\n~FAIL\n",
			[]string{"FAIL TestA     f.go:3: late\n"},
		},
		"output of two tests in turns": {
			"~=== RUN   TestA\n~=== RUN   TestB\nb1\n~=== NAME  TestA\na1\n~=== NAME  TestB\nb2\n~--- FAIL: TestA (0s)\n~--- FAIL: TestB (0s)\n",
			[]string{"FAIL TestA a1\n", "FAIL TestB b1\nb2\n"},
		},
		"the marker in mid-line": {
			"~=== RUN   TestA\nno newline~--- FAIL: TestA (0.00s)\n",
			[]string{"FAIL TestA no newline"},
		},
		"what looks like a verdict and is output": {
			"~=== RUN   TestA\n--- FAIL: TestA (0.00s)\n=== RUN   TestB\n~--- PASS: TestA (0.00s)\n",
			[]string{"PASS TestA "},
		},
		"the end is missing": {"~=== RUN   TestA\npanic: x\n", []string{" TestA panic: x\n"}},
		"again and again": {
			"~=== RUN   TestA\n~--- PASS: TestA (0.00s)\n~=== RUN   TestA\n~--- FAIL: TestA (0.00s)\n",
			[]string{"PASS TestA ", "FAIL TestA "},
		},
		"a name with a slash and no parent": {
			"~=== RUN   TestA\n~=== RUN   TestA/x/y\n~--- PASS: TestA/x/y (0.00s)\n~--- PASS: TestA (0.00s)\n",
			[]string{"PASS TestA/x/y "},
		},
		"a verdict of nobody": {"~--- PASS: TestA (0.00s)\n", nil},
		"an unknown word":     {"~=== RUN   TestA\n~=== ATTR  TestA k v\n~--- FAIL: TestA (0.00s)\n", []string{"FAIL TestA === ATTR  TestA k v\n"}},
		"a parenthesis in a name": {
			"~=== RUN   TestA/(1)\n~--- PASS: TestA/(1) (0.00s)\n", []string{"PASS TestA/(1) "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, parsed(t, strings.ReplaceAll(test.input, "~", string(rune(marker)))))
		})
	}
}

// parsed returns the runs in the output as text.
func parsed(tb testing.TB, input string) []string {
	tb.Helper()
	var s stream
	require.NoError(tb, s.read(strings.NewReader(input)))
	var runs []string
	for _, run := range s.runs() {
		runs = append(runs, string(run.verdict)+" "+run.name+" "+run.output.String())
	}
	return runs
}

func TestLongOutputIsCut(t *testing.T) {
	var s stream
	line := strings.Repeat("x", 100<<10) + "\n" // longer than the reader's buffer
	input := "\x16=== RUN   TestA\n" + strings.Repeat(line, 2*mostOutput/len(line)) + "\x16--- FAIL: TestA (0.00s)\n"
	require.NoError(t, s.read(strings.NewReader(input)))
	require.Len(t, s.runs(), 1)
	assert.Equal(t, failed, s.runs()[0].verdict)
	assert.Equal(t, mostOutput, s.runs()[0].output.Len())
}

func FuzzStream(f *testing.F) {
	f.Add("\x16=== RUN   TestA\n\x16=== RUN   TestA/x\nout\x16--- FAIL: TestA/x (0.00s)\n\x16--- FAIL: TestA (0.00s)\n\x16FAIL\n")
	f.Add("\x16\x16--- PASS: \n\x16=== NAME  \n=== RUN   ")
	f.Fuzz(func(t *testing.T, input string) {
		var s stream
		if err := s.read(strings.NewReader(input)); err != nil {
			t.Fatal(err)
		}
		runs := s.runs()
		begun := strings.Count(input, "=== RUN   ")
		if len(runs) > len(s.tests) || len(s.tests) > begun {
			t.Fatalf("%d runs of %d tests of %d that began", len(runs), len(s.tests), begun)
		}
		ended := slices.DeleteFunc(slices.Clone(s.tests), func(t *test) bool { return t.verdict == unfinished })
		if verdicts := bytes.Count([]byte(input), []byte("--- ")); len(ended) > verdicts {
			t.Fatalf("%d of %d verdicts", len(ended), verdicts)
		}
		for _, run := range runs {
			if len(fileName(run.name)) > 200 || strings.Contains(fileName(run.name), "/") {
				t.Fatalf("%q is no name of a file", fileName(run.name))
			}
		}
	})
}
