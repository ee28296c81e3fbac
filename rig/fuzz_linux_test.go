// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// FuzzTimeScale: what is taken is within its bounds, and what is not is named.
func FuzzTimeScale(f *testing.F) {
	for _, text := range []string{"", "1", "1e3", "NaN", "Inf", "-0", "0x1p3", "1_0", "1001", "0.999999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		factor, err := parseTimeScale(text)
		if !(factor >= 1 && factor <= 1000) {
			t.Errorf("%q became %v", text, factor)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q is refused by %v", text, err)
		}
		if d := time.Duration(float64(time.Hour) * factor); d < time.Hour {
			t.Errorf("an hour became %v", d)
		}
	})
}

// FuzzSeed: a seed that was taken is printed as it was written, but for zeros in front.
func FuzzSeed(f *testing.F) {
	for _, text := range []string{"", "0", "18446744073709551615", "18446744073709551616", "-1", "+1", "007", "0x1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seed, err := parseSeed(text)
		if err == nil && text != "" && fmt.Sprint(seed) != strings.TrimLeft(text[:len(text)-1], "0")+text[len(text)-1:] {
			t.Errorf("%q became %d", text, seed)
		}
	})
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("one\ntwo\n\nthree"))
	f.Add(bytes.Repeat([]byte("y\n"), 100_000)) // of which most are skipped
	f.Fuzz(func(t *testing.T, written []byte) {
		output := newOutput()
		output.collect(newChunks(written))
		for _, line := range output.Lines() {
			if len(line) > outputLineBytes {
				t.Errorf("a line of %d bytes was kept", len(line))
			}
		}
		want := 0
		for i, b := range written {
			if b == '\n' || i == len(written)-1 {
				want++
			}
		}
		if output.Total() != want {
			t.Errorf("%d lines of %q, want %d", output.Total(), written, want)
		}
	})
}

// newChunks returns a reader that gives out less than it is asked for, as a
// pipe may.
func newChunks(data []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(data)) }
