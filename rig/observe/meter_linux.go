// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// newMeter returns a function that calls work and says what it cost the calling thread.
func newMeter() func(work func()) time.Duration {
	return func(work func()) time.Duration {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		began := time.Now()
		before, err := processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		work()
		wall := time.Since(began)
		after, errAfter := processorTime(unix.CLOCK_THREAD_CPUTIME_ID)
		if err != nil || errAfter != nil {
			return wall
		}
		return chargedFor(wall, after-before, ProcessorTimeStep())
	}
}

func processorTime(clock int32) (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(now.Nano()), nil
}

// ProcessorTimeStep is by how much the clocks of processor time
// (CLOCK_PROCESS_CPUTIME_ID in clock_gettime(2)) go on at a time: some nanoseconds, or a
// tick of 10 ms or less where the kernel counts ticks, whatever clock_getres(2) says.
var ProcessorTimeStep = sync.OnceValue(func() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	return stepOf(func() (time.Duration, error) { return processorTime(unix.CLOCK_THREAD_CPUTIME_ID) },
		func() time.Duration { return time.Since(began) })
})
