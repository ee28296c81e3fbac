// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"forkrig/rig"
)

// checkHost says what is wrong with a host that a fault is meant for; name is
// the fault's field.
func checkHost(lab *rig.Lab, name string, host *rig.Host) error {
	switch {
	case host == nil:
		return fmt.Errorf("%s is nil: give a host", name)
	case host.Lab() != lab:
		return fmt.Errorf("%s is %v of another lab: give a host of this one", name, host)
	}
	return nil
}

// checkHosts is [checkHost] for a list, which must name each host once.
func checkHosts(lab *rig.Lab, name string, hosts []*rig.Host) error {
	seen := map[*rig.Host]bool{}
	for _, host := range hosts {
		if err := checkHost(lab, "a host of "+name, host); err != nil {
			return err
		}
		if seen[host] {
			return fmt.Errorf("%s names %v twice: name it once", name, host)
		}
		seen[host] = true
	}
	return nil
}

// checkLink says what is wrong with a link that a fault is meant for.
func checkLink(lab *rig.Lab, link *rig.Link) error {
	switch {
	case link == nil:
		return errors.New("the link is nil: give a link")
	case link.Lab() != lab:
		return fmt.Errorf("link %v belongs to another lab: give a link of this one", link)
	}
	return nil
}

// checkEnd says what is wrong with an end of a link; name is the fault's field.
func checkEnd(lab *rig.Lab, link *rig.Link, name string, host *rig.Host) error {
	if err := checkLink(lab, link); err != nil {
		return err
	}
	if err := checkHost(lab, name, host); err != nil {
		return err
	}
	if link.Peer(host) == nil {
		ends := link.Hosts()
		return fmt.Errorf("%s is %v, which link %v does not reach: give %v or %v", name, host, link, ends[0], ends[1])
	}
	return nil
}

// names joins the names of hosts; a nil one shows as such.
func names(hosts []*rig.Host) string {
	if len(hosts) == 0 {
		return "no host"
	}
	all := make([]string, len(hosts))
	for i, host := range hosts {
		all[i] = nameOf(host)
	}
	if len(all) > 4 {
		return fmt.Sprintf("%s, … and %s (%d hosts)", strings.Join(all[:2], ", "), all[len(all)-1], len(all))
	}
	return strings.Join(all, ", ")
}

func nameOf(host *rig.Host) string {
	if host == nil {
		return "no host"
	}
	return host.Name
}

func linkName(link *rig.Link) string {
	if link == nil {
		return "no link"
	}
	return link.String()
}

// undoing collects what has to be undone, the last first, whatever fails.
type undoing []func(context.Context) error

func (u *undoing) add(f func(context.Context) error) { *u = append(*u, f) }

func (u *undoing) release(f func()) {
	u.add(func(context.Context) error { f(); return nil })
}

func (u *undoing) undo(ctx context.Context) error {
	var errs []error
	for i := len(*u) - 1; i >= 0; i-- {
		errs = append(errs, (*u)[i](ctx))
	}
	return errors.Join(errs...)
}

// or undoes what was done so far where err is not nil, and returns both errors.
func (u *undoing) or(ctx context.Context, err error) (func(context.Context) error, error) {
	if err != nil {
		return nil, errors.Join(err, u.undo(ctx))
	}
	return u.undo, nil
}

// claimDevice reserves a property of a link's interface.
func claimDevice(lab *rig.Lab, property string, link *rig.Link, host *rig.Host) (release func(), err error) {
	return lab.Claim(fmt.Sprintf("%s of %s on %s", property, link.Device(host), host))
}
