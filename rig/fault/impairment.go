// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"forkrig/rig"
)

// Impairment makes a link bad for what From sends over it, in both families. What
// the other end sends is left alone: for both directions apply two.
//
// It works on every kernel, without netem: a [rig.Detour] leads the packets to a
// relay in this process, which lets them arrive or not, when their time has come.
// The fate of the n-th packet follows from Seed alone. Packets are as on a wire: TCP
// segmentation offload is off meanwhile (see [rig.Link.Segment]), and each packet
// keeps its bytes, addresses and checksum.
//
// Not impaired are broadcast and multicast, ARP, the messages of neighbour
// discovery, and IPv6 packets to link-local addresses. A packet that is only passed
// on takes some tens of microseconds more; the clock of Delay, Jitter and the rate
// limit ticks in milliseconds, and never early.
//
// Healing lets what is under way arrive at once, in order, and then packets go
// straight again; none is lost by it and none doubled. A packet that is sent at
// that moment may overtake the last of the others. A second Impairment of the same
// direction is refused; every other fault composes with it.
//
// Requires packet sockets (CONFIG_PACKET, CAP_NET_RAW).
type Impairment struct {
	Link *rig.Link
	From *rig.Host

	// Loss, Duplicate and Reorder are probabilities, from 0 to 1. A duplicate
	// follows the packet at once. A reordered packet arrives after the next three,
	// or [ReorderWait] late where so many do not come.
	Loss, Duplicate, Reorder float64
	// Delay is how much later each packet arrives, and Jitter the most that is
	// added to it, evenly distributed. They do not change the order.
	Delay, Jitter time.Duration
	// RateBitsPerSecond limits how fast packets leave, with their Ethernet headers;
	// 0: no limit. QueueBytes bounds what waits for that, and packets beyond it
	// are lost; 0: what leaves in 100 ms, and at least [LeastQueueBytes].
	RateBitsPerSecond int64
	QueueBytes        int
	// Seed determines the fate of every packet; 0: the lab's seed does.
	Seed uint64

	// InKernel leaves it to the kernel's queueing discipline at From's interface:
	// tbf where there is nothing but a rate, netem otherwise (tc-netem(8)), with its
	// own random numbers, so that Seed has no effect. There a packet is what TCP hands
	// down, up to 64 KiB of a stream, reordered ones are sent without delay (which
	// Reorder therefore requires), Jitter goes to both sides of Delay and may
	// reorder, everything that leaves the interface is hit, neighbour discovery
	// included, and what waits is lost on healing.
	InKernel bool

	// Tally counts what becomes of the packets, where it is not nil and InKernel is
	// not set.
	Tally *Tally
}

const (
	// ReorderWait is how long a reordered packet waits for others at the most.
	ReorderWait = 10 * time.Millisecond
	// LeastQueueBytes is the smallest queue of a rate limit that does not name one:
	// 16 long packets.
	LeastQueueBytes = 16 * 1514
)

// Tally counts what became of packets that were to be impaired.
type Tally struct {
	// Packets counts all of them, and Lost, Duplicated and Reordered those that met
	// this fate. Overflowed were lost because the queue of the rate limit was full,
	// Undelivered because the link was down.
	Packets, Lost, Duplicated, Reordered, Overflowed, Undelivered atomic.Int64
}

func (t *Tally) String() string {
	return fmt.Sprintf("%d packets, of them %d lost, %d duplicated, %d reordered, %d beyond the queue, %d met a link that was down",
		t.Packets.Load(), t.Lost.Load(), t.Duplicated.Load(), t.Reordered.Load(), t.Overflowed.Load(), t.Undelivered.Load())
}

func (f Impairment) String() string {
	var how []string
	for _, p := range f.probabilities() {
		if p.value != 0 {
			how = append(how, fmt.Sprintf("%s %g %%", strings.ToLower(p.name), p.value*100))
		}
	}
	for _, d := range f.durations() {
		if d.value != 0 {
			how = append(how, fmt.Sprintf("%s %v", strings.ToLower(d.name), d.value))
		}
	}
	if f.RateBitsPerSecond != 0 {
		how = append(how, fmt.Sprintf("rate %d bit/s", f.RateBitsPerSecond))
	}
	if len(how) == 0 {
		how = []string{"nothing"}
	}
	text := fmt.Sprintf("impairs what %s sends over link %s: %s", nameOf(f.From), linkName(f.Link), strings.Join(how, ", "))
	if f.InKernel {
		text += ", in the kernel"
	}
	return text
}

type named[T any] struct {
	name  string
	value T
}

func (f Impairment) probabilities() []named[float64] {
	return []named[float64]{{"Loss", f.Loss}, {"Duplicate", f.Duplicate}, {"Reorder", f.Reorder}}
}

func (f Impairment) durations() []named[time.Duration] {
	return []named[time.Duration]{{"Delay", f.Delay}, {"Jitter", f.Jitter}}
}

func (f Impairment) check(lab *rig.Lab) error {
	if err := checkEnd(lab, f.Link, "From", f.From); err != nil {
		return err
	}
	for _, p := range f.probabilities() {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("%s is %g: give a probability from 0 to 1", p.name, p.value)
		}
	}
	for _, d := range f.durations() {
		if d.value < 0 {
			return fmt.Errorf("%s is %v: give 0 or more", d.name, d.value)
		}
	}
	switch {
	case f.RateBitsPerSecond < 0 || f.RateBitsPerSecond > 0 && f.RateBitsPerSecond < 8:
		return fmt.Errorf("RateBitsPerSecond is %d: give 0 for no limit, or 8 and more", f.RateBitsPerSecond)
	case f.QueueBytes < 0:
		return fmt.Errorf("QueueBytes is %d: give 0 or more", f.QueueBytes)
	case f.QueueBytes > 0 && f.RateBitsPerSecond == 0:
		return errors.New("QueueBytes without RateBitsPerSecond has no effect: omit it, or give a rate")
	case f.InKernel && f.Reorder > 0 && f.Delay == 0:
		return errors.New("in the kernel Reorder needs Delay, because it reorders by sending packets without delay: give Delay")
	}
	return nil
}

// queueBytes returns how much may wait for the rate limit.
func (f Impairment) queueBytes() int {
	if f.QueueBytes > 0 {
		return f.QueueBytes
	}
	const inOneSecond = 10 // times 100 ms
	return max(LeastQueueBytes, int(f.RateBitsPerSecond/8/inOneSecond))
}

// Break implements [Fault].
func (f Impairment) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := f.check(lab); err != nil {
		return nil, err
	}
	var undoing undoing
	if f.InKernel {
		release, err := claimDevice(lab, "the queueing discipline", f.Link, f.From)
		if err != nil {
			return nil, err
		}
		undoing.release(release)
		remove, err := addDiscipline(f)
		if err == nil {
			undoing.add(func(context.Context) error { return remove() })
		}
		return undoing.or(ctx, err)
	}
	if f.Tally == nil {
		f.Tally = &Tally{}
	}
	random := rand.New(rand.NewPCG(f.Seed, 0))
	if f.Seed == 0 {
		random = lab.Rand(f.String())
	}
	undo, err := f.Link.Segment(f.From)
	if err != nil {
		return nil, err
	}
	undoing.add(func(context.Context) error { return undo() })
	end, err := startRelay(f, &passage{Impairment: f, random: random})
	if err == nil {
		undoing.add(func(ctx context.Context) error {
			defer lab.Journal.RecordAs(rig.EventFault, "fault", "%v: %v", f, f.Tally)
			return end(ctx)
		})
	}
	return undoing.or(ctx, err)
}
