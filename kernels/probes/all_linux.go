// SPDX-License-Identifier: Apache-2.0

package probes

import "slices"

// All returns all probes, by theme.
func All() []Probe {
	return slices.Concat(bindProbes, portProbes, listenProbes, migrationProbes, closeProbes, dataProbes,
		optionProbes, viewProbes, notificationProbes)
}
