// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEstimateOfAnEvenRun(t *testing.T) {
	e := estimate{began: time.Unix(1000, 0)}
	at := func(seconds, done int) string { return e.text(time.Unix(1000+int64(seconds), 0), done, 100) }
	assert.Empty(t, at(10, 9), "too few to say something of the others")
	assert.Empty(t, at(1, 50), "too early")
	assert.Empty(t, at(10, 2), "too few are done")
	assert.Equal(t, "about 3 min 0 s left", at(20, 10))
	assert.Equal(t, "about 2 min 40 s left", at(40, 20))
	assert.Equal(t, "about 20 s left", at(180, 90))
	assert.Equal(t, "about 2 s left", at(198, 99))
	assert.Empty(t, at(200, 100))
}

// TestEstimateDoesNotJump: things come in bursts, and what is said changes little by little.
func TestEstimateDoesNotJump(t *testing.T) {
	began := time.Unix(1000, 0)
	e := estimate{began: began}
	last := time.Duration(0)
	for tick := range 600 { // of 100 ms
		now := began.Add(time.Duration(tick) * 100 * time.Millisecond)
		done := tick / 60 * 10 // ten at once every six seconds
		if e.text(now, done, 100) == "" {
			continue
		}
		if last > 0 {
			assert.InDelta(t, last.Seconds(), e.left.Seconds(), 0.2+last.Seconds()/50, "tick %d", tick)
		}
		last = e.left
	}
	assert.Positive(t, last)
	assert.Less(t, last, 20*time.Second)
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1 s", 400 * time.Millisecond: "1 s", 7300 * time.Millisecond: "7 s", 38 * time.Second: "40 s", 59 * time.Second: "60 s",
		61 * time.Second: "1 min 0 s", 95 * time.Second: "1 min 40 s", 299 * time.Second: "5 min 0 s",
		12 * time.Minute: "12 min", 59*time.Minute + 50*time.Second: "60 min", 100 * time.Minute: "1 h 40 min", 119 * time.Minute: "2 h 0 min",
	} {
		assert.Equal(t, want, roughly(d), d)
	}
}

// TestProgressLine says how far it is once that takes longer than a moment.
func TestProgressLine(t *testing.T) {
	began := time.Unix(1000, 0)
	p := &Progress{began: began, estimate: estimate{began: began}}
	p.set("12 of 40 jobs", 12, 40, time.Time{})
	assert.Empty(t, p.line(began.Add(time.Second)))
	assert.Equal(t, []string{"12 of 40 jobs, 30s elapsed, about 1 min 10 s left"}, p.line(began.Add(30*time.Second)))
	p.set("7 stories", 7, 0, began.Add(10*time.Minute))
	assert.Equal(t, []string{"7 stories, 1m0s elapsed, 9 min left"}, p.line(began.Add(time.Minute)))
	assert.Equal(t, []string{"7 stories, 11m0s elapsed"}, p.line(began.Add(11*time.Minute)))
}

// TestProgressIsQuietInPipes, and passes on what is printed.
func TestProgressIsQuietInPipes(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	p := newProgress(newOutput(write), time.Now().Add(-time.Minute))
	p.set("1 of 2", 1, 2, time.Time{})
	_, _ = io.WriteString(p, "a line\n")
	p.end()
	require.NoError(t, write.Close())
	text, err := io.ReadAll(read)
	require.NoError(t, err)
	assert.Equal(t, "a line\n", strings.TrimSpace(string(text))+"\n")
	assert.Equal(t, "a line\n", string(text))
}
