// SPDX-License-Identifier: Apache-2.0

// Package sandbox starts this binary again inside fresh mount, PID, network, UTS and IPC
// namespaces, and a user namespace where the process lacks CAP_SYS_ADMIN or CAP_NET_ADMIN.
//
// Three processes of one binary take part: the outer one, which passes signals on and
// waits; init, the first process inside, which reaps orphans; and init's child, which runs
// what the sandbox is for. When the outer one dies, init sees the end of a pipe, kills all
// others, ends the connections that would hold their network namespaces, and ends itself.
// When init dies, the kernel kills all others.
package sandbox

// Init is the name of the helper program that is the sandbox's first process.
const Init = "init"

// Network is what init does about network namespaces.
type Network struct {
	// Prepare is called in the sandbox's own network namespace.
	Prepare func() error
	// EndConnections destroys the connections in the namespace of that descriptor.
	EndConnections func(fd int) error
}
