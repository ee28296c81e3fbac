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
// UserProcesses limits nobody who is root on the machine: have the process run
// as another user ([rig.Command].User).
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
	_, restore, err := lab.SetLimits(l.Resource, l.Soft, l.Targets...)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return restore() }, nil
}

// joined lists things for people.
func joined[T fmt.Stringer](all []T) string {
	parts := make([]string, len(all))
	for i, one := range all {
		parts[i] = one.String()
	}
	if len(parts) == 0 {
		return "nobody"
	}
	return strings.Join(parts, " and ")
}
