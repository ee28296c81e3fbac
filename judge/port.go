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
	if c.Subject.ListenPort() != 0 && !s.Listener.Local.Addr().IsLoopback() {
		return nil
	}
	held, err := s.heldListeners()
	if err != nil {
		return err
	}
	var ports []uint16
	var local, others []string
	for _, l := range held {
		switch port := l.Local.Port(); {
		case c.Subject.ListenPort() != 0 && port != c.Subject.ListenPort():
		case l.Local.Addr().IsLoopback():
			local = append(local, l.Local.String())
		case !slices.Contains(ports, port):
			ports = append(ports, port)
			others = append(others, fmt.Sprint(port))
		}
	}
	switch {
	case len(ports) == 0 && len(local) > 0:
		remedy := "give {ip}"
		if c.Subject.has("{ip}") || c.Subject.has("{host}") {
			remedy = "see that it takes the address in the place of {ip}"
		}
		return fmt.Errorf("listens on %s only: %s", strings.Join(local, " and "), remedy)
	case len(ports) == 0:
		return fmt.Errorf("listens on no port any more")
	case len(ports) > 1:
		return fmt.Errorf("listens on the ports %s: say by -port which one is meant", strings.Join(others, ", "))
	case c.Subject.ListenPort() != 0:
		return nil
	}
	c.Subject.Port = ports[0]
	c.Address = netip.AddrPortFrom(c.Address.Addr(), ports[0])
	s.Listener = held[slices.IndexFunc(held, func(l rig.Socket) bool {
		return l.Local.Port() == ports[0] && !l.Local.Addr().IsLoopback()
	})]
	return nil
}

// takesFamily says, as an error, that the subject listens and no socket of it takes clients of
// the family. An IPv6 one takes IPv4 unless it has IPV6_V6ONLY, which a client finds out.
func (s *Instance) takesFamily(family rig.Family) error {
	held, err := s.heldListeners()
	if err != nil {
		return err
	}
	var others []string
	for _, l := range held.On(s.Case.Subject.ListenPort()) {
		if family == rig.IPv4 || l.Local.Addr().Is6() && !l.Local.Addr().Is4In6() {
			return nil
		}
		others = append(others, l.Local.String())
	}
	if len(others) == 0 {
		return nil // whoever listens, a client finds out
	}
	return fmt.Errorf("listens on %s only", strings.Join(others, " and "))
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
