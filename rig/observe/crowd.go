// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"maps"
	"slices"
	"time"
)

// betweenCounts is how often the processes of guarded hosts are counted.
const betweenCounts = 50 * time.Millisecond

// Crowd is how many processes, and threads of all of them, a PID namespace may have.
type Crowd struct{ Processes, Threads int }

// crowd is a PID namespace that is guarded.
type crowd struct {
	root     string
	most     Crowd
	exceeded func(now Crowd)

	// What was counted last, and the number that the kernel had given last before: 0 where
	// nothing was counted yet. Both belong to the goroutine that counts.
	known Crowd
	last  int
}

// mayExceed says whether there may be more than there may be, now that the kernel gave this number
// last: each process and thread that has come since the last count has got one.
func (c *crowd) mayExceed(last int) bool {
	come := last - c.last
	return c.last == 0 || come < 0 || // they began again
		c.known.Processes+come > c.most.Processes || c.known.Threads+come > c.most.Threads
}

// GuardCrowd calls exceeded once, in a goroutine of its own, when the PID namespace
// whose /proc is at root has more processes or threads than it may have. stop ends the
// guard; it may be called twice.
//
// The count has its own time and is not delayed by other reads or by their budget,
// because a subject that forks without end must be ended also where everything else
// is slow. A namespace is counted only where the whole machine has more threads than it may have
// processes, and enough have come since it was counted last: other sandboxes may have thousands.
func (o *Observer) GuardCrowd(root string, most Crowd, exceeded func(now Crowd)) (stop func()) {
	c := &crowd{root: root, most: most, exceeded: exceeded}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.crowds[c] = true
	if !o.guarding {
		o.guarding = true
		go o.guardCrowds()
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.crowds, c)
	}
}

// guardCrowds counts until nothing is guarded any more.
func (o *Observer) guardCrowds() {
	ticker := time.NewTicker(betweenCounts)
	defer ticker.Stop()
	for range ticker.C {
		o.mu.Lock()
		guarded := slices.Collect(maps.Keys(o.crowds))
		o.guarding = len(guarded) > 0
		o.mu.Unlock()
		if len(guarded) == 0 {
			return
		}
		cost := o.measure(func() {
			all, last := o.source.machine()
			for _, c := range guarded {
				if all > c.most.Processes && c.mayExceed(last) {
					c.last = last
					o.countCrowd(c)
				}
			}
		})
		o.charge(cost, false)
	}
}

func (o *Observer) countCrowd(c *crowd) {
	var now Crowd
	now.Processes, now.Threads = o.source.count(c.root, c.most.Processes)
	c.known = now
	if now.Processes <= c.most.Processes && now.Threads <= c.most.Threads {
		return
	}
	o.mu.Lock()
	guarded := o.crowds[c]
	delete(o.crowds, c)
	o.mu.Unlock()
	if guarded {
		go c.exceeded(now)
	}
}
