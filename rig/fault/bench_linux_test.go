// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forkrig/rig"
	"forkrig/rig/fault"
)

// BenchmarkRelay compares a link whose packets a relay passes on, in both
// directions, with the bare link: the ratio of their throughputs, and what a round
// trip takes more, as medians. Both are measured in turn in one run.
func BenchmarkRelay(b *testing.B) {
	w := newWire(b, rig.IPv4)
	near, far := w.pair()
	deadline := time.Now().Add(time.Hour)
	require.NoError(b, near.SetDeadline(deadline))
	require.NoError(b, far.SetDeadline(deadline))
	const size, trips = 8 << 20, 200
	measure := func(transfers, roundTrips *[]time.Duration) {
		start := time.Now()
		written := make(chan error, 1)
		go func() {
			_, err := near.Write(make([]byte, size))
			written <- err
		}()
		_, err := io.CopyN(io.Discard, far, size)
		require.NoError(b, err)
		require.NoError(b, <-written)
		*transfers = append(*transfers, time.Since(start))
		one := make([]byte, 1)
		for range trips {
			start := time.Now()
			for _, way := range [][2]io.ReadWriter{{near, far}, {far, near}} {
				_, err := way[0].Write(one)
				require.NoError(b, err)
				_, err = io.ReadFull(way[1], one)
				require.NoError(b, err)
			}
			*roundTrips = append(*roundTrips, time.Since(start))
		}
	}
	var bare, relayed, bareTrips, relayedTrips []time.Duration
	measure(new([]time.Duration), new([]time.Duration)) // the window grows
	for b.Loop() {
		measure(&bare, &bareTrips)
		there := w.apply(fault.Impairment{Link: w.link, From: w.a})
		back := w.apply(fault.Impairment{Link: w.link, From: w.b})
		measure(&relayed, &relayedTrips)
		w.heal(there)
		w.heal(back)
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return all[len(all)/2].Seconds()
	}
	const megabits, micro = size * 8 / 1e6, 1e6
	b.ReportMetric(megabits/median(bare), "bare-Mbit/s")
	b.ReportMetric(megabits/median(relayed), "relayed-Mbit/s")
	b.ReportMetric(median(bare)/median(relayed), "throughput-ratio")
	b.ReportMetric(median(bareTrips)*micro, "bare-µs/round-trip")
	b.ReportMetric((median(relayedTrips)-median(bareTrips))*micro, "added-µs/round-trip")
}

// BenchmarkFaults is what it costs to apply a fault and to heal it.
func BenchmarkFaults(b *testing.B) {
	for _, f := range []struct {
		name string
		make func(*wire) fault.Fault
	}{
		{"LinkDown", func(w *wire) fault.Fault { return fault.LinkDown{Link: w.link} }},
		{"BlackHole", func(w *wire) fault.Fault { return fault.BlackHole{On: w.a, To: w.b} }},
		{"Partition", func(w *wire) fault.Fault {
			return fault.Partition{Between: []*rig.Host{w.a}, And: []*rig.Host{w.b}}
		}},
		{"Reset", func(w *wire) fault.Fault { return fault.Reset{To: []*rig.Host{w.b}} }},
		{"Impairment", func(w *wire) fault.Fault { return fault.Impairment{Link: w.link, From: w.a} }},
		{"MTU", func(w *wire) fault.Fault { return fault.MTU{Link: w.link, Bytes: 1300} }},
	} {
		b.Run(f.name, func(b *testing.B) {
			w := newWire(b, rig.IPv4)
			for b.Loop() {
				w.heal(w.apply(f.make(w)))
			}
		})
	}
}
