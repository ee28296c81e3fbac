// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// arrivals lets n packets enter, one each interval, and returns in which order and
// when they leave.
func arrivals(f Impairment, n int, interval time.Duration) (order []byte, times []time.Duration) {
	f.Tally = &Tally{}
	p := &passage{Impairment: f, random: rand.New(rand.NewPCG(f.Seed, 0))}
	start := time.Unix(0, 0)
	now := start
	send := func(frame []byte) {
		order, times = append(order, frame[0]), append(times, now.Sub(start))
	}
	for i := range n {
		enters := start.Add(time.Duration(i) * interval)
		for next := p.next(); !next.IsZero() && !next.After(enters); next = p.next() {
			now = next
			p.leave(now, send)
		}
		now = enters
		frame := make([]byte, 1000)
		frame[0] = byte(i)
		if p.enter(now, frame) {
			send(frame)
		}
		p.leave(now, send)
	}
	for next := p.next(); !next.IsZero(); next = p.next() {
		now = next
		p.leave(now, send)
	}
	return order, times
}

func TestPassage(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name     string
		f        Impairment
		n        int
		interval time.Duration
		order    []byte
		times    []time.Duration
	}{
		{"nothing", Impairment{}, 3, ms, []byte{0, 1, 2}, []time.Duration{0, ms, 2 * ms}},
		{"delay", Impairment{Delay: 5 * ms}, 3, ms, []byte{0, 1, 2}, []time.Duration{5 * ms, 6 * ms, 7 * ms}},
		{"loss", Impairment{Loss: 1}, 3, ms, nil, nil},
		{"duplicate", Impairment{Duplicate: 1}, 2, ms, []byte{0, 0, 1, 1}, []time.Duration{0, 0, ms, ms}},
		{"all are reordered, so nobody overtakes", Impairment{Reorder: 1}, 2, ms, []byte{0, 1}, []time.Duration{ReorderWait, ReorderWait + ms}},
		{"rate", Impairment{RateBitsPerSecond: 8_000_000}, 3, 0, []byte{0, 1, 2}, []time.Duration{ms, 2 * ms, 3 * ms}},
		{"a queue that is full", Impairment{RateBitsPerSecond: 8_000_000, QueueBytes: 2000}, 4, 0, []byte{0, 1}, []time.Duration{ms, 2 * ms}},
	} {
		order, times := arrivals(test.f, test.n, test.interval)
		assert.Equal(t, test.order, order, test.name)
		assert.Equal(t, test.times, times, test.name)
	}
}

// TestPassageKeepsTheOrder under jitter, and leaves what is not reordered in order.
func TestPassageKeepsTheOrder(t *testing.T) {
	order, times := arrivals(Impairment{Delay: time.Millisecond, Jitter: 20 * time.Millisecond, Seed: 1}, 200, time.Millisecond)
	assert.IsIncreasing(t, order)
	assert.IsNonDecreasing(t, times)
	assert.Len(t, order, 200)
}

// TestPassageReorders: each reordered packet is overtaken by three.
func TestPassageReorders(t *testing.T) {
	f := Impairment{Reorder: 0.05, Seed: 3}
	order, _ := arrivals(f, 200, 100*time.Microsecond)
	assert.Len(t, order, 200)
	moved := 0
	for i, number := range order {
		if i > int(number) {
			moved++
			assert.GreaterOrEqual(t, i-int(number), 1)
			assert.LessOrEqual(t, i-int(number), overtakers+2)
		}
	}
	assert.Greater(t, moved, 3, fmt.Sprint(order))
}

// TestPassageRepeats: one seed, one fate for each packet, whatever else happens to
// others.
func TestPassageRepeats(t *testing.T) {
	f := Impairment{Loss: 0.3, Seed: 7}
	first, _ := arrivals(f, 200, time.Millisecond)
	again, _ := arrivals(f, 200, 0)
	assert.Equal(t, first, again)
	f.Jitter = time.Millisecond
	delayed, _ := arrivals(f, 200, time.Millisecond)
	assert.Equal(t, first, delayed)
	f.Seed++
	other, _ := arrivals(f, 200, time.Millisecond)
	assert.NotEqual(t, first, other)
	assert.InDelta(t, 140, len(first), 30)
}

// TestPassageOpens: what waits leaves in order, and then everything passes.
func TestPassageOpens(t *testing.T) {
	f := Impairment{Delay: time.Hour, Reorder: 0.5, Seed: 1, Tally: &Tally{}}
	p := &passage{Impairment: f, random: rand.New(rand.NewPCG(1, 0))}
	now := time.Unix(0, 0)
	for i := range byte(10) {
		assert.False(t, p.enter(now, []byte{i}))
	}
	p.open = true
	var order []byte
	p.leave(now, func(frame []byte) { order = append(order, frame[0]) })
	assert.Equal(t, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, order)
	assert.True(t, p.enter(now, nil))
	assert.True(t, p.next().IsZero())
}
