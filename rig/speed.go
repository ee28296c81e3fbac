package rig

import (
	"fmt"
	"math"
	"runtime"
	"time"
)

// speed is what was found out about the machine when the tests began, to scale
// deadlines to it. Its zero value is the machine that they were chosen on, idle.
type speed struct {
	// piece is how much processor time the fixed piece of work took, at best: see
	// [timePiece]. Load does not change it much.
	piece time.Duration
	// load is how many threads of the whole machine wanted a processor: what the
	// kernel counted at that moment or, where that is more, its average over the
	// last minute (proc_loadavg(5)).
	load float64
	// processors is how many of them the tests may use.
	processors int
}

// here is the machine under the tests. Set before the first test runs.
var here speed

// referencePiece is how much the piece of work takes on the machine on which the
// deadlines were chosen: 2 processors of 2023, virtual ones.
const referencePiece = 400 * time.Microsecond

const (
	mostSlow   = 20.0 // a processor that is emulated
	mostBusy   = 2.0
	mostFactor = 20.0
)

// factor is by how much deadlines are longer here than on the machine that they
// were chosen on, from 1 to 20: in proportion to how slow the machine is, and with
// the root of the load on each processor, up to 2, because what waits is served
// before what computes. It is measured once, so that it says nothing of load that
// comes later: deadlines are generous, and no verdict depends on them alone.
func (m speed) factor() float64 {
	slow := min(max(float64(m.piece)/float64(referencePiece), 1), mostSlow)
	busy := 1.0
	if m.processors > 0 {
		busy = min(max(math.Sqrt(m.load/float64(m.processors)), 1), mostBusy)
	}
	// Differences of a few per cent are noise.
	return min(math.Round(slow*busy*10)/10, mostFactor)
}

func (m speed) String() string {
	if m.piece == 0 {
		return "the machine was not measured"
	}
	return fmt.Sprintf("a piece of work took %v (%v on the reference machine), %.1f threads wanted one of %d processors",
		m.piece.Round(time.Microsecond), referencePiece, m.load, m.processors)
}

// measured measures the machine, which takes some milliseconds. What cannot be
// measured counts as on the reference machine.
func measured() speed {
	m := speed{processors: runtime.GOMAXPROCS(0), load: readLoad()}
	const pieces = 5
	for range pieces {
		if piece, err := timePiece(); err == nil && (m.piece == 0 || piece < m.piece) {
			m.piece = piece
		}
	}
	return m
}

// aboutDeadlines says by how much deadlines are longer, and why.
func aboutDeadlines() string {
	factor, _ := timeScale() // a wrong one ended Main
	return fmt.Sprintf("deadlines are %.1f times those of an idle machine: %v", factor, here)
}
