// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"forkrig/rig"
)

// Destroy ends connections of a host from outside, as an administrator does with
// ss -K (SOCK_DESTROY in sock_diag(7)). The process on the host that has the
// connection gets ECONNABORTED from what it waits in or calls next, and 0 from
// the read after that; the peer, if it is in reach, gets a reset: ECONNRESET.
// A connection that still waits for accept is accepted all the same, and its
// first read gives ECONNABORTED. One in TIME-WAIT is forgotten. Of a listening
// socket, which Match has to name for it to be meant, accept gives EINVAL for ever.
//
// It cannot be healed. At least one socket must match. Requires
// CONFIG_INET_DIAG_DESTROY; its lack is a [rig.MissingError].
type Destroy struct {
	Host *rig.Host
	// What names the chosen ones in a few words; "" means "connections".
	What string
	// Match chooses; nil means every connection, and no listening socket.
	Match func(rig.Socket) bool
}

func (d Destroy) String() string {
	what := d.What
	if what == "" {
		what = "connections"
	}
	return fmt.Sprintf("%s of %v are destroyed", what, d.Host)
}

// Break implements [Fault].
func (d Destroy) Break(ctx context.Context, _ *rig.Lab) (func(context.Context) error, error) {
	if d.Host == nil {
		return nil, errors.New("there is no host: name one")
	}
	match := d.Match
	if match == nil {
		match = func(s rig.Socket) bool { return s.State != rig.Listening }
	}
	type pair struct{ local, remote netip.AddrPort }
	chosen := map[pair]bool{}
	err := d.Host.Destroy(func(s rig.Socket) bool {
		if !match(s) {
			return false
		}
		chosen[pair{s.Local, s.Remote}] = true
		return true
	})
	if err != nil {
		return nil, err
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no socket of %v matches", d.Host)
	}
	_, err = d.Host.AwaitSockets(ctx, "the end of destroyed sockets", func(all rig.Sockets) bool {
		for _, s := range all {
			if chosen[pair{s.Local, s.Remote}] && match(s) {
				return false
			}
		}
		return true
	})
	return nil, err
}
