// SPDX-License-Identifier: Apache-2.0

// Package machine measures how fast and how busy the machine is, to scale deadlines to it.
package machine

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"forkrig/rig/observe"
)

// Speed is what was found out about the machine when the tests began. Its zero value is the machine that they were chosen on, idle.
type Speed struct {
	// piece is how much processor time the fixed piece of work took, at best: see
	// [timePiece] and [pieceClock]. Load does not change it much.
	piece time.Duration
	// load is how many threads of the whole machine wanted a processor: what the
	// kernel counted at that moment or, where that is more, its average over the
	// last minute (proc_loadavg(5)).
	load float64
	// processors is how many of them the tests may use.
	processors int
}

// referencePiece is how much the piece of work takes on the machine on which the
// deadlines were chosen: 2 processors of 2023, virtual ones.
const referencePiece = 400 * time.Microsecond

const (
	mostSlow   = 20.0 // a processor that is emulated
	mostBusy   = 2.0
	mostFactor = 20.0
)

// Factor is by how much deadlines are longer here than on the machine that they
// were chosen on, from 1 to 20: in proportion to how slow the machine is, and with
// the root of the load on each processor, up to 2, because what waits is served
// before what computes. It is measured once, so that it says nothing of load that
// comes later: deadlines are generous, and no verdict depends on them alone.
func (m Speed) Factor() float64 {
	slow := m.slow()
	busy := 1.0
	if m.processors > 0 {
		busy = min(max(math.Sqrt(m.load/float64(m.processors)), 1), mostBusy)
	}
	// Differences of a few per cent are noise.
	return min(math.Round(slow*busy*10)/10, mostFactor)
}

// slow is how many times the piece of work takes as long as on the machine that deadlines were chosen on, from
// 1 to 20.
func (m Speed) slow() float64 {
	return min(max(float64(m.piece)/float64(referencePiece), 1), mostSlow)
}

// AtOnce returns how many of so many tests, which wait more than they compute, run at a time on a processor: all
// of them, but for a slow one, on which they compute for longer. There is one at least.
func (m Speed) AtOnce(tests int) int {
	const much = 2 // times as slow
	return max(1, min(tests, int(float64(tests)*much/m.slow())))
}

func (m Speed) String() string {
	if m.piece == 0 {
		return "the machine was not measured"
	}
	return fmt.Sprintf("a piece of work took %v (%v on the reference machine), %.1f threads wanted one of %d processors",
		m.piece.Round(time.Microsecond), referencePiece, m.load, m.processors)
}

// Measure measures the machine, which takes some milliseconds. What cannot be
// measured counts as on the reference machine.
func Measure() Speed {
	clock := pieceClock(observe.ProcessorTimeStep())
	m := Speed{processors: runtime.GOMAXPROCS(0), load: readLoad()}
	m.piece = fastestPiece(func() (time.Duration, error) { return timePiece(clock) })
	m.load = min(m.load, readLoad()) // a thread that runs for a moment is no load
	return m
}

// mostPieces is how many pieces of work are timed at the most.
const mostPieces = 20

// longestStep is the longest step of a clock that can time a piece of work.
const longestStep = referencePiece / 10

// pieceClock chooses the clock for pieces of work.
// Processor time is the better measure on a busy machine, but where the kernel counts
// it in ticks of 10 ms it says of a piece that it took none, or 25 times what it did.
// Then it is time on the wall: of many pieces the fastest waited for no processor.
func pieceClock(step time.Duration) (clock func() (time.Duration, error)) {
	if step > longestStep {
		return wallTime()
	}
	return processorTime
}

// wallTime returns a clock that begins now.
func wallTime() func() (time.Duration, error) {
	began := time.Now()
	return func() (time.Duration, error) { return time.Since(began), nil }
}

// fastestPiece returns the shortest of the times, but for those that no piece can
// take, or 0 where there is none. A piece that is as fast as on the reference machine is
// fast enough: the others, on an idle one, may wait for a processor that has to wake up.
func fastestPiece(piece func() (time.Duration, error)) (fastest time.Duration) {
	for range mostPieces {
		if fastest != 0 && fastest <= referencePiece {
			break
		}
		if took, err := piece(); err == nil && took > 0 && (fastest == 0 || took < fastest) {
			fastest = took
		}
	}
	return fastest
}
