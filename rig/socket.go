// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig/observe"
)

// Sockets returns the host's TCP sockets of both families, those in TIME-WAIT
// included. It asks sock_diag(7); no process of the host is involved. A socket
// that changes while the kernel lists it can be missing or, rarely, stand twice.
func (h *Host) Sockets() (Sockets, error) {
	if err := h.lab.checkOpen("list sockets of " + h.Name); err != nil {
		return nil, err
	}
	s, err := look("list sockets of "+h.Name, observe.Query{Sockets: []*observe.Host{h.observed}})
	if err != nil {
		return nil, err
	}
	return h.socketsIn(s)
}

// AwaitSockets waits until seen says yes to the host's sockets, and returns
// them. what names the expectation in a few words.
func (h *Host) AwaitSockets(ctx context.Context, what string, seen func(Sockets) bool) (Sockets, error) {
	return awaitOn(ctx, h, what, "sockets", observe.Query{Sockets: []*observe.Host{h.observed}}, h.socketsIn, seen)
}

// Destroy closes those sockets of the host that match says yes to, as if their
// owners had given them up: a peer in reach gets a reset, the owner ECONNABORTED
// or, of a listening socket, EINVAL; one in TIME-WAIT is forgotten. A socket that
// ended meanwhile is no error. Requires Linux 4.9; the error is a [MissingError] on a kernel
// without CONFIG_INET_DIAG_DESTROY. Before Linux 6.11, connections that were closed are left to their
// timers, with tcp_orphan_retries set to 1 on the host: see K29 in docs/kernels.md.
func (h *Host) Destroy(match func(Socket) bool) error {
	if err := h.lab.checkOpen("destroy sockets of " + h.Name); err != nil {
		return err
	}
	n, err := h.ns.Destroy(match)
	if errors.Is(err, errors.ErrUnsupported) {
		err = &MissingError{Feature: FeatureSockDestroy, Err: err, Remedy: "use a kernel with CONFIG_INET_DIAG_DESTROY"}
	}
	h.lab.Journal.Record(h.Name, "destroyed %d sockets%s", n, errorSuffix(err))
	if err != nil {
		return fmt.Errorf("destroy sockets of %s: %w", h.Name, err)
	}
	return nil
}
