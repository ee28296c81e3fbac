// SPDX-License-Identifier: Apache-2.0

package recorder_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"forkrig/recorder"
	"forkrig/rig"
)

// conversations is how many a client of a lab has in the benchmarks: as many as in a usual check.
const conversations = 50

// converse makes a lab in which clients connect, say a word, hear it and leave.
func converse(tb rig.TB, recorded bool) {
	lab := rig.New(tb)
	server, clients := lab.NewStar("server", "client", 2)
	if recorded {
		r := recorder.Record(lab)
		defer r.Stop()
	}
	address := netip.AddrPortFrom(server.MustAddr(rig.IPv4), 9999)
	listener, err := server.Listen(tb.Context(), address)
	if err != nil {
		tb.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn) // an error: the client has left
			conn.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	word := make([]byte, 6)
	for i := range conversations {
		conn, err := clients[i%2].Dial(tb.Context(), address)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err = conn.Write(word); err == nil {
			_, err = io.ReadFull(conn, word)
		}
		conn.Close()
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkLab shows what recording adds to a lab: processor time of this process and of its children.
func BenchmarkLab(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(fmt.Sprintf("recorded=%t", recorded), func(b *testing.B) {
			before := processorTime(b)
			for b.Loop() {
				if o := rig.Sub(b.Context(), b, func(tb rig.TB) { converse(tb, recorded) }); o.Failed {
					b.Fatal(o.Log)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/lab")
		})
	}
}

func processorTime(b *testing.B) (total time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}

// BenchmarkThousandLabs shows that memory and descriptors stay level over 1,000 recorded labs: it
// reports what is left of each after the first 100.
func BenchmarkThousandLabs(b *testing.B) {
	for b.Loop() {
		var descriptors, heap int
		for i := range 1000 {
			if o := rig.Sub(b.Context(), b, func(tb rig.TB) { converse(tb, true) }); o.Failed {
				b.Fatal(o.Log)
			}
			if i == 99 {
				descriptors, heap = held(b)
			}
		}
		descriptorsNow, heapNow := held(b)
		b.ReportMetric(float64(descriptorsNow-descriptors), "descriptors-left")
		b.ReportMetric(float64(heapNow-heap)/1024, "KiB-left")
	}
}

// held is how many descriptors and bytes of the heap this process has.
func held(b *testing.B) (descriptors, heap int) {
	runtime.GC()
	runtime.GC() // finalizers of the first have run
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.Fatal(err)
	}
	return len(open), int(m.HeapAlloc)
}
