// SPDX-License-Identifier: Apache-2.0

package recorder

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
)

// sighting is a packet that was seen at one end of a link, or at both.
type sighting struct {
	at   time.Duration // when it left, or came where it was not seen to leave
	took time.Duration // negative where it was not seen to arrive
	from string        // the host that sent it
	to   string
	// copied says that the same packet has come before: what was sent once came twice.
	copied bool
	// frames are the indices of its frames, of the sender first.
	frames []int
}

// unseen is how long a packet took that was not seen to arrive.
const unseen = time.Duration(-1)

// hardwareAddress is the length of an address of Ethernet, with which a frame begins.
const hardwareAddress = 6

// pairFrames finds for each frame that a host sent the one that came to the host at the other end:
// the same bytes but for the hardware address, which a detour changes, on the same link, later. peer
// returns the host at the other end of an interface.
func pairFrames(frames []Frame, peer func(host, name string) string) []sighting {
	type path struct {
		host, name string // where it arrives
		data       uint64
	}
	seed := maphash.MakeSeed()
	open := map[path][]int{} // sightings that have not arrived, oldest first
	came := map[path]bool{}
	var all []sighting
	order := make([]int, len(frames))
	for i := range order {
		order[i] = i
	}
	// A packet that arrives in the moment in which it left comes after it.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(frames[a].stamp, frames[b].stamp), cmp.Compare(sentFirst(frames[a]), sentFirst(frames[b])))
	})
	for _, i := range order {
		f := frames[i]
		other := peer(f.Host, f.Interface)
		hash := maphash.Bytes(seed, f.Data[min(len(f.Data), hardwareAddress):])
		if f.Sent {
			p := path{other, f.Host, hash}
			open[p] = append(open[p], len(all))
			all = append(all, sighting{at: f.At, took: unseen, from: f.Host, to: other, frames: []int{i}})
			continue
		}
		p := path{f.Host, other, hash}
		if waiting := open[p]; len(waiting) > 0 {
			s := &all[waiting[0]]
			s.took, s.frames = time.Duration(f.stamp-frames[s.frames[0]].stamp), append(s.frames, i)
			open[p], came[p] = waiting[1:], true
			continue
		}
		all = append(all, sighting{at: f.At, from: other, to: f.Host, copied: came[p], frames: []int{i}})
	}
	return all
}

func sentFirst(f Frame) int {
	if f.Sent {
		return 0
	}
	return 1
}
