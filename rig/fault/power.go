// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig"
)

// PowerCut takes a host's power away. The host's own ends of its links go down
// first, so that nothing leaves it any more; then everything on it is killed at one
// instant, and all its TCP sockets are destroyed, those in TIME-WAIT and those that
// no process has included. Its peers notice nothing: no FIN and no RST reaches them,
// and their connections stay until their own timers end them.
//
// Healing brings the power back: links with addresses and routes. The host
// remembers no connection, and answers segments of old ones by RST (RFC 9293,
// 3.10.7.1). It starts no process: that is for [rig.Process.Restart]. Files and
// parameters of the host (sysctl) stay, as on a disk.
//
// Sockets of the test itself on the host are destroyed, too. Requires
// [rig.FeatureSockDestroy].
type PowerCut struct {
	Host *rig.Host
}

func (p PowerCut) String() string {
	if p.Host == nil {
		return "no host loses power"
	}
	return p.Host.Name + " loses power"
}

// Break implements [Fault].
func (p PowerCut) Break(ctx context.Context, lab *rig.Lab) (func(context.Context) error, error) {
	if p.Host == nil {
		return nil, errors.New("there is no host to cut off: set Host")
	}
	if p.Host.Lab() != lab {
		return nil, fmt.Errorf("%v is in another lab: name a host of this one", p.Host)
	}
	if err := p.cut(ctx); err != nil {
		return nil, errors.Join(err, p.Host.Plug(context.WithoutCancel(ctx)))
	}
	return p.Host.Plug, nil
}

func (p PowerCut) cut(ctx context.Context) error {
	if err := p.Host.Unplug(); err != nil {
		return err
	}
	if err := p.Host.KillAll(); err != nil {
		return err
	}
	return rig.Await(ctx, "no socket on "+p.Host.Name, func() (bool, string, error) {
		if err := p.Host.Destroy(func(rig.Socket) bool { return true }); err != nil {
			return false, "", err
		}
		left, err := p.Host.Sockets()
		return len(left) == 0, fmt.Sprint(left), err
	})
}
