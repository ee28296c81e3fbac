package rig

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineFactor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		machine speed
		want    float64
	}{
		"not measured":        {speed{}, 1},
		"the reference, idle": {speed{piece: referencePiece, load: 0, processors: 2}, 1},
		"faster":              {speed{piece: referencePiece / 3, load: 1, processors: 2}, 1},
		"three times slower":  {speed{piece: 3 * referencePiece, load: 1, processors: 2}, 3},
		"busy":                {speed{piece: referencePiece, load: 8, processors: 2}, 2},
		"very busy":           {speed{piece: referencePiece, load: 5000, processors: 2}, 2},
		"slow and busy":       {speed{piece: 2 * referencePiece, load: 8, processors: 2}, 4},
		"emulated and busy":   {speed{piece: 200 * referencePiece, load: 80, processors: 2}, 20},
	} {
		assert.Equal(t, test.want, test.machine.factor(), name)
	}
}

func TestMachineIsMeasured(t *testing.T) {
	t.Parallel()
	piece, err := timePiece()
	require.NoError(t, err)
	assert.Positive(t, piece)
	assert.Positive(t, here.piece, "Main has measured it")
	assert.Contains(t, aboutDeadlines(), "times those of an idle machine: a piece of work took ")
	t.Log(aboutDeadlines())
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
		measured()
	}
}
