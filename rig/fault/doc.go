// SPDX-License-Identifier: Apache-2.0

// Package fault breaks what lies between a client and a server, at any layer,
// and heals it again: processes, signals, the network, sockets, resources and
// time. System calls are what package inject fails.
//
// A fault is a plain value that says what to break. [Apply] breaks it in a lab
// and returns an [Applied], which heals it:
//
//	parted, err := fault.Apply(ctx, lab, fault.Partition{Between: clients, And: []*rig.Host{server}})
//	…
//	err = parted.Heal(ctx)
//
// Whatever was not healed is healed when the lab ends, the last fault first.
// Nothing outside the sandbox is touched and no program is needed. What a kernel
// lacks is a [rig.MissingError].
package fault
