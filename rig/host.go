// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"forkrig/rig/internal/netns"
	"forkrig/rig/internal/population"
	"forkrig/rig/observe"
)

// Host is a network namespace (network_namespaces(7)) with its addresses, and
// the processes that run in it, which have a PID namespace of their own: they
// can signal no process elsewhere, and all are ended where there are more than 1,000.
// The host shares everything else with the other hosts: files, users. Its methods are safe for
// concurrent use.
type Host struct {
	Name string

	lab      *Lab
	ns       *netns.Namespace
	observed *observe.Host
	devices  []*device // guarded by lab.mu

	peopling sync.Mutex
	people   *population.Population // nil before the first process; guarded by peopling
	unguard  func()                 // ends the guard of people; guarded by peopling
	crowds   atomic.Int32
}

// String returns the host's name.
func (h *Host) String() string { return h.Name }

// Addr returns the host's address on its first link. Every host of a star
// reaches the address of the center. The error is a [MissingError] where the
// kernel has no IPv6.
func (h *Host) Addr(family Family) (netip.Addr, error) {
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	if family != IPv4 && family != IPv6 {
		return netip.Addr{}, fmt.Errorf("address of %s: there is no family %d: choose IPv4 or IPv6", h.Name, int(family))
	}
	if len(h.devices) == 0 {
		return netip.Addr{}, fmt.Errorf("address of %s: the host has no link: make one first", h.Name)
	}
	if err := h.ns.IPv6Err(); family == IPv6 && err != nil {
		return netip.Addr{}, &MissingError{Feature: FeatureIPv6, Err: err,
			Remedy: "boot without ipv6.disable=1, on a kernel with CONFIG_IPV6"}
	}
	return h.devices[0].addr(family), nil
}

// MustAddr is [Host.Addr] for a test: it skips where IPv6 is missing and fails
// the test on any other error.
func (h *Host) MustAddr(family Family) netip.Addr {
	h.lab.tb.Helper()
	address, err := h.Addr(family)
	SkipIfMissing(h.lab.tb, err)
	return address
}

// Do calls f on a thread that is in the host's network namespace, and returns
// f's error. Sockets that f opens belong to the host, also after f returned. f
// must not start goroutines that open sockets, because they run elsewhere, and
// must not call t.FailNow, which is reported as an error.
func (h *Host) Do(f func() error) error {
	if err := h.lab.checkOpen("enter host " + h.Name); err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("enter host %s: the function is nil", h.Name)
	}
	if err := h.ns.Do(f); err != nil {
		return fmt.Errorf("on host %s: %w", h.Name, err)
	}
	return nil
}

// Dial connects from the host to address by TCP. The caller owns the
// connection and closes it before the test ends.
func (h *Host) Dial(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	var conn net.Conn
	err := h.Do(func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "tcp", address.String())
		return err
	})
	h.lab.Journal.Record(h.Name, "dial %s%s", h.lab.nameOf(address), errorSuffix(err))
	return conn, err
}

// Listen opens a TCP listener on the host. The caller owns it and closes it
// before the test ends.
func (h *Host) Listen(ctx context.Context, address netip.AddrPort) (net.Listener, error) {
	var listener net.Listener
	err := h.Do(func() (err error) {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "tcp", address.String())
		return err
	})
	h.lab.Journal.Record(h.Name, "listen on %s%s", h.lab.nameOf(address), errorSuffix(err))
	return listener, err
}

// nameOf returns the address with the name of the host that has it.
func (l *Lab) nameOf(address netip.AddrPort) string {
	if owner := l.Owner(address.Addr()); owner != nil {
		return fmt.Sprintf("%s(%s)", address, owner.Name)
	}
	return address.String()
}

// Sysctl reads a kernel parameter of the host by its sysctl(8) name, such as
// net.ipv4.tcp_fin_timeout. Only parameters below net are a host's own.
func (h *Host) Sysctl(name string) (string, error) {
	var value []byte
	err := h.withSysctl(name, func(path string) (err error) {
		value, err = os.ReadFile(path)
		return err
	})
	return strings.TrimSpace(string(value)), err
}

// SetSysctl sets a kernel parameter of the host. It needs no undoing: the
// parameter ends with the host. See [Host.Sysctl].
func (h *Host) SetSysctl(name, value string) error {
	err := h.withSysctl(name, func(path string) error {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteString(value + "\n")
		return errors.Join(err, file.Close())
	})
	h.lab.Journal.Record(h.Name, "sysctl %s=%s%s", name, value, errorSuffix(err))
	return err
}

// withSysctl calls f with the file of the parameter, which shows the value of
// the namespace of the thread that opens it.
func (h *Host) withSysctl(name string, f func(path string) error) error {
	if !strings.HasPrefix(name, "net.") || strings.ContainsAny(name, "/\x00") || strings.Contains(name, "..") {
		return fmt.Errorf("sysctl %q of %s: only parameters below net are a host's own: give a name such as net.ipv4.tcp_fin_timeout", name, h.Name)
	}
	path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
	err := h.Do(func() error { return f(path) })
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sysctl %s of %s: this kernel has no such parameter: %w", name, h.Name, err)
	}
	return err
}
