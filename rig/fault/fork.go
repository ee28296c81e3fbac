// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"

	"forkrig/rig"
)

// NoFork has the kernel refuse every fork and clone on a host with EAGAIN, as when a limit
// on processes or threads is reached: no process there gets another process or thread,
// whatever its user and its rights, and nothing can be started there, [Restart] included.
// What runs goes on. It holds when the kernel has refused a fork, and healing says so if the
// last one was not refused. [KillAll] on the host heals it. Requires [rig.FeaturePIDMax]:
// see [rig.Host.RefuseForks].
type NoFork struct {
	Host *rig.Host
}

func (n NoFork) String() string { return "every fork on " + nameOf(n.Host) + " is refused" }

// Break implements [Fault].
func (n NoFork) Break(_ context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if err := checkHost(lab, "Host", n.Host); err != nil {
		return nil, err
	}
	allow, err := n.Host.RefuseForks()
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return allow() }, nil
}
