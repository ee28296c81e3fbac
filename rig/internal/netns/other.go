// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"forkrig/rig/observe"
)

var errUnsupported = fmt.Errorf("network namespaces need Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Namespace is a stand-in on systems that are not Linux.
type Namespace struct {
	Name  string
	Inode uint64
}

func New(string) (*Namespace, error)       { return nil, errUnsupported }
func Open(string, int) (*Namespace, error) { return nil, errUnsupported }
func Prepare() error                       { return errUnsupported }
func Join(a, b *End) error                 { return errUnsupported }

func (*Namespace) FD() int                                        { return -1 }
func (*Namespace) Furnish() error                                 { return errUnsupported }
func (*Namespace) IPv6Err() error                                 { return nil }
func (*Namespace) Do(func() error) error                          { return errUnsupported }
func (*Namespace) Sockets() (observe.Sockets, error)              { return nil, errUnsupported }
func (*Namespace) DestroyOrphans() (observe.Sockets, error)       { return nil, errUnsupported }
func (*Namespace) Destroy(func(observe.Socket) bool) (int, error) { return 0, errUnsupported }
func (*Namespace) Close()                                         {}

func (*End) Up() error                                             { return errUnsupported }
func (*End) Down() error                                           { return errUnsupported }
func (*End) Address() error                                        { return errUnsupported }
func (*End) State() (State, error)                                 { return State{}, errUnsupported }
func (*End) SetNeighbour(netip.Addr, net.HardwareAddr, bool) error { return errUnsupported }
func (*End) SetSegmentation(bool) error                            { return errUnsupported }
