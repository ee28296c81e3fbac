// SPDX-License-Identifier: Apache-2.0

// Package kerneltest skips tests on kernels with a defect that a probe shows. Only tests import it.
package kerneltest

import (
	"slices"

	"forkrig/kernels/probes"
	"forkrig/rig"
)

// NeedsSteadyBuffer skips tb where the receive buffer of this kernel shrinks, and full queues take minutes
// to be read (probe K28).
func NeedsSteadyBuffer(tb rig.TB) {
	tb.Helper()
	asked := slices.DeleteFunc(probes.All(), func(p probes.Probe) bool { return p.ID != "K28" })
	for _, answer := range probes.Run(tb.Context(), probes.Options{Probes: asked}) {
		if answer.Value == "is refused" {
			rig.SkipIfMissing(tb, &rig.MissingError{Feature: "steady-receive-buffer", Remedy: "use Linux 6.18.17, 6.19.7 or 7.0, or one before 6.17"})
		}
	}
}
