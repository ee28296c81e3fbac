// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fault

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"forkrig/rig"
)

// What follows lets programs that use the faults compile on other systems, where
// no lab can be made.
var errUnsupported = fmt.Errorf("faults need Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

func addBlackHole(*rig.Host, netip.Prefix) error                         { return errUnsupported }
func deleteBlackHole(*rig.Host, netip.Prefix) error                      { return errUnsupported }
func dropFrom(*rig.Host, []netip.Addr) (func() error, error)             { return nil, errUnsupported }
func dropLonger(*rig.Host, string, int) (func() error, error)            { return nil, errUnsupported }
func resetSegments(*rig.Host, []netip.Addr, Reset) (func() error, error) { return nil, errUnsupported }
func setMTU(*rig.Host, string, int) (int, error)                         { return 0, errUnsupported }
func startRelay(Impairment, *passage) (func(context.Context) error, error) {
	return nil, errUnsupported
}
func addDiscipline(Impairment) (func() error, error) { return nil, errUnsupported }
