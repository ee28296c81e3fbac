// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"runtime"
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

// urgently calls f on a thread of its own, which comes before all others where the kernel allows
// that: thousands of processes that fork leave the others a thousandth of a processor.
func urgently(f func()) {
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		setPriority(highestPriority)
		f()
	}()
}

// highestPriority is that of a thread that comes before all others.
const highestPriority = -20

// manyForks is how many numbers the kernel gives between two counts where a subject may fork
// without end.
const manyForks = 64

// manyThreads is more than the labs of one sandbox have.
const manyThreads = 3000

// guardCrowds counts until nothing is guarded any more, on a thread of its own. The thread is urgent
// while a subject may fork without end, and where the machine has few threads, so that it sees the
// begin of that: then it comes before all others, and sleeps in the kernel and not by a timer of the
// runtime, which other threads would have to serve. With 8 suites side by side on 2 processors all of
// them took two to three times as long where their guards were always urgent.
func (o *Observer) guardCrowds() {
	runtime.LockOSThread() // and the thread ends with the goroutine
	urgent, last := false, 0
	for {
		if urgent {
			o.source.sleep(betweenCounts)
		} else {
			time.Sleep(betweenCounts)
		}
		o.mu.Lock()
		guarded := make([]*crowd, 0, len(o.crowds))
		for c := range o.crowds {
			guarded = append(guarded, c)
		}
		o.mu.Unlock()
		cost := o.measure(func() {
			all, now := o.source.machine()
			is := all < manyThreads || now-last >= manyForks || now < last
			switch {
			case is && !urgent:
				setPriority(highestPriority)
			case urgent && !is:
				setPriority(0)
			}
			urgent, last = is, now
			for _, c := range guarded {
				if all > c.most.Processes && c.mayExceed(now) {
					c.last = now
					o.countCrowd(c)
				}
			}
		})
		o.charge(cost, false)
		o.mu.Lock()
		o.guarding = len(o.crowds) > 0
		ended := !o.guarding
		o.mu.Unlock()
		if ended {
			return
		}
	}
}

func (o *Observer) countCrowd(c *crowd) {
	var now Crowd
	now.Processes, now.Threads = o.source.count(c.root)
	c.known = now
	if now.Processes <= c.most.Processes && now.Threads <= c.most.Threads {
		return
	}
	o.mu.Lock()
	guarded := o.crowds[c]
	delete(o.crowds, c)
	o.mu.Unlock()
	if guarded {
		urgently(func() { c.exceeded(now) })
	}
}
