// SPDX-License-Identifier: Apache-2.0

package forkserver

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// settleRuntime makes the Go runtime take now what it would otherwise take on
// demand, and small: later the server may be at its limit of processes or
// descriptors, where a fork may fail but the server has to live on.
func settleRuntime() {
	// One thread accepts, and another reaps and logs now and then. The heap
	// hardly grows, so collecting it often keeps it within its first pages.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(20)

	// The heap takes its address space in arenas of 64 MiB, and begins at a random place in
	// the first (since Go 1.26, runtime/mheap.go): there may be less than 4 MiB left of it.
	// Where a second one is not to be had, the Go program ends, so it is taken now if at all.
	runtime.KeepAlive(make([]byte, 8<<20))
	runtime.GC()

	// A thread that cannot be created ends a Go program. Those created here
	// stay, idle, and are more than can ever be busy or blocked at a time.
	const threads = 8
	var all, none sync.WaitGroup
	all.Add(threads)
	for range threads {
		none.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	none.Wait()

	// The first pipe opens the descriptors of the runtime's poller, and a failure
	// to do so ends a Go program too. A timer does, as well, but only if somebody
	// has to wait for it.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}
