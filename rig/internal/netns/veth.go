// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"
	"net"
	"net/netip"
)

// End is one end of a veth pair, as it should be.
type End struct {
	In        *Namespace
	Name      string // of the interface
	Index     int    // of the interface, from 2 up; free in the namespace
	Addresses []netip.Prefix
	Gateways  []netip.Addr // of default routes
}

// State is how an end is.
type State struct {
	Up           bool // it was brought up, whether or not it has a carrier
	Carrier      bool // it can send
	Addressed    bool // packets to its addresses are the namespace's own
	HardwareAddr net.HardwareAddr
}

func (s State) String() string {
	return fmt.Sprintf("up: %t, carrier: %t, addresses usable: %t", s.Up, s.Carrier, s.Addressed)
}
