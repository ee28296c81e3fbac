package tcpclient

import (
	"maps"
	"math/bits"
	"slices"
	"time"
)

// Percentiles are latencies by nearest rank: P90 is the smallest latency that at least
// 90 % of the samples do not exceed. P50, P90 and P99 are exact below 256 ns and otherwise
// at most 1 part in 128 too great; Max is exact. Without samples all are zero.
type Percentiles struct {
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// A histogram counts latencies in buckets of equal relative width: 128 for each power of
// two. It is small whatever the number of samples, and adds up over processes.
type histogram struct {
	Buckets map[int]uint64 `json:"buckets"`
	Max     time.Duration  `json:"max"`
}

func (h *histogram) add(d time.Duration) {
	if h.Buckets == nil {
		h.Buckets = map[int]uint64{}
	}
	h.Buckets[bucket(d)]++
	h.Max = max(h.Max, d)
}

func (h *histogram) merge(other histogram) {
	if h.Buckets == nil {
		h.Buckets = map[int]uint64{}
	}
	for b, n := range other.Buckets {
		h.Buckets[b] += n
	}
	h.Max = max(h.Max, other.Max)
}

func (h *histogram) percentiles() Percentiles {
	order := slices.Sorted(maps.Keys(h.Buckets))
	var count uint64
	for _, n := range h.Buckets {
		count += n
	}
	at := func(percent uint64) time.Duration {
		rank := (count*percent + 99) / 100
		var seen uint64
		for _, b := range order {
			if seen += h.Buckets[b]; seen >= rank {
				return min(bucketEnd(b), h.Max)
			}
		}
		return 0
	}
	return Percentiles{Count: count, P50: at(50), P90: at(90), P99: at(99), Max: h.Max}
}

// bucket returns the number of the bucket of d. Below 256 ns each value has its own; above,
// the eight highest bits choose it.
func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	shift := max(bits.Len64(n)-8, 0)
	return shift<<7 + int(n>>shift)
}

// bucketEnd returns the greatest latency in bucket b.
func bucketEnd(b int) time.Duration {
	shift := max(b>>7-1, 0)
	return time.Duration((uint64(b-shift<<7)+1)<<shift - 1)
}
