// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"strings"

	"forkrig/rig"
)

// Limit takes a resource from running processes: the targeted ones, and what they
// start from then on, may have no more than Soft of it. Healing gives each of the
// targeted processes back what it had; those started meanwhile keep the limit
// until they end. A process of another user than that of the tests requires a
// privilege: see [rig.Host.SetLimit].
//
// What the process sees is said with each [rig.Resource]. Soft is in the unit of
// the resource; 0, where nothing else is meant, is nothing more: no further
// descriptor, no further process, no longer file, no further memory.
//
// UserProcesses does not limit root of the machine: have the process run as another
// user ([rig.Command].User).
type Limit struct {
	Targets  []rig.Target
	Resource rig.Resource
	Soft     uint64
}

func (l Limit) String() string {
	return fmt.Sprintf("%s of %s are limited to %d", l.Resource, joined(l.Targets), l.Soft)
}

// Break implements [Fault].
func (l Limit) Break(_ context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return limit(lab, l.Resource, func(*rig.Host, rig.ProcessInfo) (uint64, error) { return l.Soft, nil }, l.Targets)
}

// NoDescriptors leaves running processes no free descriptor: the soft limit of each
// becomes the lowest number that is not open in it, so that open, socket and accept give
// EMFILE until it closes one. What is open stays, and poll goes on, which a limit below
// the number of its descriptors would fail (EINVAL in poll(2)). An accept that waits has
// its descriptor already. Healing gives each process its limit back. A process of
// another user than that of the tests requires a privilege: see [rig.Host.SetLimit].
type NoDescriptors struct {
	Targets []rig.Target
}

func (n NoDescriptors) String() string {
	return fmt.Sprintf("no descriptor is left to %s", joined(n.Targets))
}

// Break implements [Fault].
func (n NoDescriptors) Break(_ context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	return limit(lab, rig.OpenFiles, func(host *rig.Host, info rig.ProcessInfo) (uint64, error) {
		fds, err := host.FDs(info)
		return lowestFree(fds), err
	}, n.Targets)
}

func limit(lab *rig.Lab, resource rig.Resource, soft func(*rig.Host, rig.ProcessInfo) (uint64, error), targets []rig.Target) (func(context.Context) error, error) {
	restore, err := lab.SetEachLimit(resource, soft, targets...)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return restore() }, nil
}

// lowestFree is the number that the next descriptor would get.
func lowestFree(fds rig.FDs) (number uint64) {
	open := map[int]bool{}
	for _, fd := range fds {
		open[fd.Number] = true
	}
	for open[int(number)] {
		number++
	}
	return number
}

// joined lists things for people.
func joined[T fmt.Stringer](all []T) string {
	parts := make([]string, len(all))
	for i, one := range all {
		parts[i] = one.String()
	}
	if len(parts) == 0 {
		return "no process"
	}
	return strings.Join(parts, " and ")
}
