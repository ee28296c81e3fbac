// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// passage decides when each packet that enters an impaired link leaves it. It has
// no clock of its own and sends nothing, so that it can be tested by itself. It is
// not safe for concurrent use.
type passage struct {
	Impairment
	random *rand.Rand
	// open lets everything pass at once: the fault is being healed.
	open bool

	waiting queue // for their time
	entered uint64
	free    time.Time // when the rate limit lets the next packet leave
	last    time.Time // when the last packet leaves that is not reordered
	held    []*packet // reordered, waiting to be overtaken
}

// packet is one that waits.
type packet struct {
	frame   []byte // its own
	due     time.Time
	number  uint64
	reorder bool
	behind  int // how many have still to overtake it
}

// overtakers is how many packets overtake one that is reordered: three, because as
// many duplicate acknowledgements make TCP send again (RFC 5681 section 3.2).
const overtakers = 3

// enter takes a packet at the time now. It returns true where the packet may leave
// at once, as it is; otherwise the passage has lost it or has a copy.
func (p *passage) enter(now time.Time, frame []byte) (passes bool) {
	if p.open {
		return true
	}
	p.Tally.Packets.Add(1)
	// Each packet takes the same number of random numbers, so that one kind of impairment does
	// not change which packets another one hits.
	lost := p.random.Float64() < p.Loss
	duplicated := p.random.Float64() < p.Duplicate
	reordered := p.random.Float64() < p.Reorder
	jitter := time.Duration(p.random.Float64() * float64(p.Jitter))
	if lost {
		p.Tally.Lost.Add(1)
		return false
	}
	if reordered {
		p.Tally.Reordered.Add(1)
	}
	if duplicated {
		p.Tally.Duplicated.Add(1)
	} else if p.immediate() && !reordered {
		return true
	}
	p.queue(now, frame, jitter, reordered)
	if duplicated {
		p.queue(now, frame, jitter, reordered)
	}
	return false
}

// immediate says whether a packet that is not reordered is sent at once, because it waits
// neither for a time nor for packets before it.
func (p *passage) immediate() bool {
	return p.Delay == 0 && p.Jitter == 0 && p.RateBitsPerSecond == 0 && len(p.waiting) == 0 && len(p.held) == 0
}

func (p *passage) queue(now time.Time, frame []byte, jitter time.Duration, reordered bool) {
	due := now
	if p.RateBitsPerSecond > 0 {
		start := now
		if p.free.After(now) {
			start = p.free
		}
		bytesWaiting := start.Sub(now).Seconds() * float64(p.RateBitsPerSecond) / 8
		if bytesWaiting+float64(len(frame)) > float64(p.queueBytes()) {
			p.Tally.Overflowed.Add(1)
			return
		}
		p.free = start.Add(time.Duration(float64(len(frame)*8) / float64(p.RateBitsPerSecond) * float64(time.Second)))
		due = p.free
	}
	due = due.Add(p.Delay + jitter)
	if due.Before(p.last) {
		due = p.last
	}
	p.last = due
	p.entered++
	heap.Push(&p.waiting, &packet{frame: append([]byte(nil), frame...), due: due, number: p.entered, reorder: reordered})
}

// leave calls send for each packet whose time has come, in order.
func (p *passage) leave(now time.Time, send func(frame []byte)) {
	for len(p.waiting) > 0 && (p.open || !p.waiting[0].due.After(now)) {
		next := heap.Pop(&p.waiting).(*packet)
		if next.reorder && !p.open {
			next.behind, next.due = overtakers, next.due.Add(ReorderWait)
			p.held = append(p.held, next)
			continue
		}
		send(next.frame)
		for _, held := range p.held {
			held.behind--
		}
		p.release(now, send)
	}
	p.release(now, send)
}

// release sends what was held back for long enough.
func (p *passage) release(now time.Time, send func(frame []byte)) {
	kept := p.held[:0]
	for _, held := range p.held {
		if p.open || held.behind <= 0 || !held.due.After(now) {
			send(held.frame)
		} else {
			kept = append(kept, held)
		}
	}
	p.held = kept
}

// next returns when leave has something to do, or the zero time.
func (p *passage) next() time.Time {
	var next time.Time
	if len(p.waiting) > 0 {
		next = p.waiting[0].due
	}
	for _, held := range p.held {
		if next.IsZero() || held.due.Before(next) {
			next = held.due
		}
	}
	return next
}

// queue is a heap of packets by their time, and by their order where that is equal.
type queue []*packet

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].number < q[j].number
	}
	return q[i].due.Before(q[j].due)
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*packet)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
