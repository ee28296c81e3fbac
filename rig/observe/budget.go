// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"math"
	"time"
)

// The budget of an observer: how much processor time looking may cost. In any second
// that is a quarter of one processor at the most: what comes in steadily, and what
// may be saved up. A read begins when as much is there as the one before it cost, so
// that single reads never wait, and many are spread evenly; one that costs more than
// can be saved up leaves a debt, and the next begins when that is paid.
const (
	budgetRate = 0.2                   // processor time for each second
	budgetMost = 50 * time.Millisecond // that can be saved up
)

// budget is an account of processor time. Its zero value has nothing spent.
type budget struct {
	spent time.Duration // of what can be saved up, minus what has come in since
	at    time.Time     // when that was so
}

// settle brings the account up to now.
func (b *budget) settle(now time.Time) {
	if income := time.Duration(float64(now.Sub(b.at)) * budgetRate); income > 0 || b.at.IsZero() {
		b.spent = max(b.spent-income, 0)
		b.at = now
	}
}

// spend takes what was used.
func (b *budget) spend(now time.Time, cost time.Duration) {
	b.settle(now)
	b.spent += cost
}

// wait is how long it takes until a read of that cost may begin.
func (b *budget) wait(now time.Time, cost time.Duration) time.Duration {
	b.settle(now)
	over := b.spent + min(cost, budgetMost) - budgetMost
	if over <= 0 {
		return 0
	}
	return time.Duration(float64(over)/budgetRate) + time.Microsecond
}

// Waiters leave the budget to those who ask once: their pauses become longer while
// looking costs more than a twenty-fifth of a processor, and shorter while it costs less.
const (
	paceShare     = 1.0 / 25
	firstPause    = 200 * time.Microsecond // the pause after the first look
	shortestPause = 5 * time.Millisecond   // the shortest that pauses grow to
	longestPause  = 80 * time.Millisecond
)

// pace is how long the pauses of those that wait for long are. Its zero value is the
// shortest.
type pace struct {
	longer time.Duration // than the shortest
	used   float64       // share of a processor, over about a second
	at     time.Time     // when that was so
}

func (p *pace) pause() time.Duration { return shortestPause + p.longer }

// spend takes what was used.
func (p *pace) spend(now time.Time, cost time.Duration) {
	if gone := now.Sub(p.at).Seconds(); gone > 0 {
		p.used *= math.Exp(-gone)
		p.at = now
	}
	p.used += cost.Seconds()
}

// adjust changes the pause after a read, by a tenth.
func (p *pace) adjust() {
	if p.used > paceShare {
		p.longer = min(p.longer+p.pause()/10, longestPause-shortestPause)
	} else {
		p.longer = max(p.longer-p.pause()/10, 0)
	}
}

// chargedFor is what a piece of work costs that took wall by the clock on the wall and
// cpu by that of processor time, which goes on in steps. Where they are as long as
// the work (10 ms on a kernel that counts ticks, as User-mode Linux does), that clock
// says 0 of all of it: then the wall's counts, up to a step.
func chargedFor(wall, cpu, step time.Duration) time.Duration {
	return max(cpu, min(wall, step))
}
