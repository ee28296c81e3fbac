// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"

	"forkrig/rig/observe"
)

// Counters reads the host's counters of IPv4, IPv6, TCP and UDP
// (/proc/net/snmp, netstat and snmp6 in proc_pid_net(5)).
func (h *Host) Counters() (counters Counters, err error) {
	err = h.Do(func() error { counters, err = observe.ReadCounters(); return err })
	if err != nil {
		return nil, fmt.Errorf("read counters of %s: %w", h.Name, err)
	}
	return counters, nil
}
