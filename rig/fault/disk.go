// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"

	"forkrig/rig"
)

// FullDisk takes all the room on a disk of the lab: a write that needs more of it
// gives ENOSPC to every process, while what is left of the last page of a file
// (4 KiB on most machines) can still be written. Healing gives the room back.
// See [rig.Lab.NewDisk] for how a subject gets onto the disk.
//
// For a subject whose output alone is meant there is a cheaper way: its
// [rig.Command].StderrTo is /dev/full, from its start to its end.
type FullDisk struct{ Disk *rig.Disk }

func (f FullDisk) String() string {
	if f.Disk == nil {
		return "no disk is full"
	}
	return fmt.Sprintf("the disk %s is full", f.Disk.Path)
}

// Break implements [Fault].
func (f FullDisk) Break(context.Context, *rig.Lab) (func(context.Context) error, error) {
	if f.Disk == nil {
		return nil, errors.New("there is no disk: make one by Lab.NewDisk")
	}
	if err := f.Disk.Fill(); err != nil {
		return nil, err
	}
	return func(context.Context) error { return f.Disk.Free() }, nil
}
