// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"forkrig/rig"
)

// settlePort finds out the port of a subject of which none is known: the only one on which
// clients of other hosts reach it. It sees that a subject that listens is reached at all.
func (c *Case) settlePort(s *Instance) error {
	if c.Subject.ListenPort() != 0 && !s.Listener.Local.Addr().IsLoopback() && reaches(c.Family, s.Listener) {
		return nil
	}
	held, err := s.heldListeners()
	if err != nil {
		return err
	}
	var ports []uint16
	var local, otherFamily, others []string
	for _, l := range held {
		switch port := l.Local.Port(); {
		case c.Subject.ListenPort() != 0 && port != c.Subject.ListenPort():
		case l.Local.Addr().IsLoopback():
			local = append(local, l.Local.String())
		case !reaches(c.Family, l):
			otherFamily = append(otherFamily, l.Local.String())
		case !slices.Contains(ports, port):
			ports = append(ports, port)
			others = append(others, fmt.Sprint(port))
		}
	}
	switch {
	case len(ports) == 0 && len(otherFamily) > 0:
		return fmt.Errorf("it listens on %s only, which clients cannot reach over %v: %s", strings.Join(append(otherFamily, local...), " and "), c.Family, c.giveAddress())
	case len(ports) == 0 && len(local) > 0:
		return fmt.Errorf("it listens on %s only, which clients on other hosts cannot reach: %s", strings.Join(local, " and "), c.giveAddress())
	case len(ports) == 0:
		return fmt.Errorf("it no longer listens on any port")
	case len(ports) > 1:
		return fmt.Errorf("it listens on the ports %s: name the right one with -port", strings.Join(others, ", "))
	case c.Subject.ListenPort() != 0:
		return nil
	}
	c.Subject.Port = ports[0]
	c.Address = netip.AddrPortFrom(c.Address.Addr(), ports[0])
	s.Listener = held[slices.IndexFunc(held, func(l rig.Socket) bool {
		return l.Local.Port() == ports[0] && !l.Local.Addr().IsLoopback() && reaches(c.Family, l)
	})]
	return nil
}

// giveAddress says how a subject is told where to listen.
func (c *Case) giveAddress() string {
	if c.Subject.has("{ip}") || c.Subject.has("{host}") {
		return "let the server listen on the address that replaces {ip}"
	}
	return "write {ip} in its command instead of the address"
}

// reaches says whether clients of the family can reach the listening socket. An IPv6 one that
// is bound to no address may take IPv4.
func reaches(family rig.Family, l rig.Socket) bool {
	address := l.Local.Addr()
	if family == rig.IPv6 {
		return address.Is6() && !address.Is4In6()
	}
	return address.Is4() || address.Is4In6() || address.IsUnspecified()
}

// heldListeners returns the listening sockets, on whatever port, that the processes which it
// had from the start have open, in order of their ports.
func (s *Instance) heldListeners() (rig.Sockets, error) {
	sockets, err := s.Case.Host.Sockets()
	if err != nil {
		return nil, err
	}
	var open []rig.FDs
	for _, info := range s.Own {
		if fds, err := s.Case.Host.FDs(info); err == nil { // or it has ended
			open = append(open, fds)
		}
	}
	held := sockets.In(rig.Listening).Where(func(k rig.Socket) bool {
		return slices.ContainsFunc(open, func(fds rig.FDs) bool { return fds.Socket(k.Inode) })
	})
	slices.SortFunc(held, func(a, b rig.Socket) int {
		if a.Local.Port() != b.Local.Port() {
			return int(a.Local.Port()) - int(b.Local.Port())
		}
		return a.Local.Addr().Compare(b.Local.Addr())
	})
	return held, nil
}
