// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineFactor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		machine Speed
		want    float64
	}{
		"not measured":        {Speed{}, 1},
		"the reference, idle": {Speed{piece: referencePiece, load: 0, processors: 2}, 1},
		"faster":              {Speed{piece: referencePiece / 3, load: 1, processors: 2}, 1},
		"three times slower":  {Speed{piece: 3 * referencePiece, load: 1, processors: 2}, 3},
		"busy":                {Speed{piece: referencePiece, load: 8, processors: 2}, 2},
		"very busy":           {Speed{piece: referencePiece, load: 5000, processors: 2}, 2},
		"slow and busy":       {Speed{piece: 2 * referencePiece, load: 8, processors: 2}, 4},
		"emulated and busy":   {Speed{piece: 200 * referencePiece, load: 80, processors: 2}, 20},
	} {
		assert.Equal(t, test.want, test.machine.Factor(), name)
	}
}

func TestFewTestsAtOnceWhereEachTakesLong(t *testing.T) {
	t.Parallel()
	for slow, want := range map[time.Duration]int{0: 5, 1: 5, 2: 5, 3: 3, 5: 2, 10: 1, 200: 1} {
		assert.Equal(t, want, Speed{piece: slow * referencePiece, load: 40, processors: 2}.AtOnce(5), slow)
	}
}

func TestMachineIsMeasured(t *testing.T) {
	t.Parallel()
	piece, err := timePiece(processorTime)
	require.NoError(t, err)
	assert.Positive(t, piece)
	here := Measure()
	assert.Positive(t, here.piece)
	assert.Contains(t, here.String(), "a piece of work took ")
	assert.Equal(t, "the machine was not measured", Speed{}.String())
	t.Log(here)
}

// TestCoarseClockDoesNotSlowDeadlines: where the clock of processor time goes on by
// 10 ms at a time, as under User-mode Linux, the machine is measured as it is.
func TestCoarseClockDoesNotSlowDeadlines(t *testing.T) {
	t.Parallel()
	wall, err := pieceClock(10 * time.Millisecond)()
	require.NoError(t, err)
	assert.Less(t, wall, time.Second, "it begins now")

	// A piece takes 500 µs, and some wait for a processor besides.
	waits := []time.Duration{30 * time.Millisecond, 0, 3 * time.Millisecond, 70 * time.Microsecond}
	n, now := 0, time.Duration(0)
	fastest := fastestPiece(func() (time.Duration, error) {
		n++
		return 500*time.Microsecond + waits[n%len(waits)], nil
	})
	assert.Equal(t, mostPieces, n)
	assert.Equal(t, 500*time.Microsecond, fastest)
	n = 0
	fast := fastestPiece(func() (time.Duration, error) {
		n++
		return referencePiece + 2*time.Millisecond - time.Duration(n)*time.Millisecond, nil
	})
	assert.Equal(t, 2, n, "one that is fast enough is the last")
	assert.Equal(t, referencePiece, fast)
	assert.InDelta(t, 1.25, Speed{piece: fastest, processors: 2}.Factor(), 0.1)

	// What the coarse clock says of the same pieces: 0 of most, and 10 ms of one.
	coarse := fastestPiece(func() (time.Duration, error) {
		before := now.Truncate(10 * time.Millisecond)
		now += 500 * time.Microsecond
		return now.Truncate(10*time.Millisecond) - before, nil
	})
	assert.EqualValues(t, 20, Speed{piece: coarse, processors: 2}.Factor(), "which is why it is not asked")
	assert.Zero(t, fastestPiece(func() (time.Duration, error) { return 0, errors.New("no clock") }))
}

func TestParseLoad(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{
		"0.04 3.41 9.80 2/98 15749\n":  1,
		"65.02 36.20 20.62 9/98 15749": 65.02,
		"1.00 3.41 9.80 9/98 15749":    8,
		"":                             0,
		"-1 0 0 1/1 1":                 0,
		"NaN 0 0 5/9 1":                0,
		"1,5 0 0 5/9 1":                0,
	} {
		assert.Equal(t, want, parseLoad(text), text)
	}
}

func BenchmarkMeasure(b *testing.B) {
	for b.Loop() {
		Measure()
	}
}
