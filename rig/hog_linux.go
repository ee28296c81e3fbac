// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os"

	"golang.org/x/sys/unix"
)

// usableProcessors returns the numbers of the processors that the tests may run
// on (sched_getaffinity(2)).
func usableProcessors() ([]int, error) {
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

// stayOn ties the calling thread to a processor.
func stayOn(processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &set))
}
