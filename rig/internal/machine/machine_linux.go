// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// timePiece does a fixed piece of work and says how much time it took by the clock: a byte
// goes to and fro between two threads 20 times, so that a thread is woken 40 times, which
// is what most of the rig's work is; a number is scrambled 50,000 times; and 96 pages of memory are
// touched for the first time, as a new process does, which an emulated processor is slowest at.
func timePiece(clock func() (time.Duration, error)) (time.Duration, error) {
	there, err := pipe()
	if err != nil {
		return 0, err
	}
	defer there.close()
	back, err := pipe()
	if err != nil {
		return 0, err
	}
	defer back.close()
	const trips = 20
	echoed := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		defer onOneProcessor()()
		close(ready)
		for range trips {
			if err := errors.Join(there.take(), back.give()); err != nil {
				echoed <- err
				return
			}
		}
		echoed <- nil
	}()
	<-ready
	defer onOneProcessor()()
	began, err := clock()
	if err != nil {
		return 0, err
	}
	for range trips {
		if err := errors.Join(there.give(), back.take()); err != nil {
			return 0, err
		}
	}
	if err := <-echoed; err != nil {
		return 0, err
	}
	const scrambles = 50_000
	number := uint64(began) | 1
	for range scrambles {
		number ^= number << 13
		number ^= number >> 7
		number ^= number << 17
	}
	if number == 0 {
		return 0, errors.New("xorshift never gives 0") // so that it is not optimized away
	}
	if err := touchPages(96); err != nil {
		return 0, err
	}
	ended, err := clock()
	return ended - began, err
}

// touchPages takes so many pages of memory from the kernel, writes to each, and gives them back.
func touchPages(n int) error {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, n*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	for i := 0; i < len(memory); i += page {
		memory[i] = 1
	}
	return os.NewSyscallError("munmap", unix.Munmap(memory))
}

// onOneProcessor is [On] for the first of the processors that it may run on. What it costs to wake a
// thread on another processor depends on how deeply that sleeps: on a virtual machine it may be half a
// piece of work.
func onOneProcessor() (leave func()) {
	processors, err := Processors()
	if err == nil {
		leave, err = On(processors[0])
	}
	if err != nil {
		return func() {} // the piece takes as long as it takes
	}
	return leave
}

// On locks the goroutine to its thread, and that to a processor, until leave is called by the same
// goroutine.
func On(processor int) (leave func(), err error) {
	runtime.LockOSThread()
	var all unix.CPUSet
	if err = os.NewSyscallError("sched_getaffinity", unix.SchedGetaffinity(0, &all)); err == nil {
		err = StayOn(processor)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return func() {
		if unix.SchedSetaffinity(0, &all) == nil {
			runtime.UnlockOSThread()
		} // otherwise the thread ends with its goroutine
	}, nil
}

// processorTime is how much processor time this process has used.
func processorTime() (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(now.Nano()), nil
}

// bytePipe is a pipe that blocks its thread, not its goroutine.
type bytePipe struct{ r, w int } // owned

func pipe() (bytePipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return bytePipe{}, os.NewSyscallError("pipe2", err)
	}
	return bytePipe{fds[0], fds[1]}, nil
}

func (p bytePipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

func (p bytePipe) give() error { return whole(unix.Write, p.w) }
func (p bytePipe) take() error { return whole(unix.Read, p.r) }

// whole passes one byte.
func whole(call func(int, []byte) (int, error), fd int) error {
	var b [1]byte
	for {
		n, err := call(fd, b[:])
		if err == nil && n != 1 {
			err = errors.New("a pipe took or gave no byte")
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// readLoad reads how many threads want a processor.
func readLoad() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	return parseLoad(string(text))
}

// parseLoad reads a line such as "0.04 3.41 9.80 2/98 15749".
func parseLoad(text string) float64 {
	var minute, five, fifteen float64
	var now int
	_, err := fmt.Sscanf(strings.TrimSpace(text), "%f %f %f %d/", &minute, &five, &fifteen, &now)
	if err != nil || !(minute >= 0) {
		return 0
	}
	return max(minute, float64(now-1)) // but the thread that reads it
}

// Processors returns the numbers of the processors that the tests may run
// on (sched_getaffinity(2)).
func Processors() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(os.Getpid(), &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var processors []int
	for n := 0; len(processors) < set.Count(); n++ {
		if set.IsSet(n) {
			processors = append(processors, n)
		}
	}
	return processors, nil
}

// StayOn ties the calling thread to a processor.
func StayOn(processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
}
