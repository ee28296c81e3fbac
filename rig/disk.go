// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"forkrig/rig/internal/tmpfs"
)

// Disk is a small file system of a lab for what its processes write, so that it
// can be full without harm to other programs: a tmpfs (tmpfs(5)) below the sandbox's
// TMPDIR. It is gone with the lab. Its methods are safe for concurrent use.
type Disk struct {
	// Path is where it is mounted: a directory that every user may write to. A
	// subject gets onto it by [Command.Dir], by [Command.StderrTo], or by a path in
	// its arguments.
	Path string

	lab    *Lab
	mu     sync.Mutex
	filled bool
}

// NewDisk mounts a disk of so many bytes, rounded up to whole pages. Processes
// see it by its path only where it was made before the first process of their
// host was started; a file on it that [Command.StderrTo] names needs no path.
// NewDisk fails the test where the kernel refuses. It needs no root.
func (l *Lab) NewDisk(bytes int64) *Disk {
	l.tb.Helper()
	d, err := l.addDisk(bytes)
	if err != nil {
		l.tb.Fatal(err)
	}
	return d
}

func (l *Lab) addDisk(bytes int64) (*Disk, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("make a disk of %d bytes: give 1 or more", bytes)
	}
	if err := l.checkOpen("make a disk"); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp("", "disk-")
	if err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	d := &Disk{Path: path, lab: l}
	if err := tmpfs.Mount(path, bytes); err != nil {
		return nil, errors.Join(fmt.Errorf("make a disk: %w", err), os.Remove(path))
	}
	l.Journal.Record("lab", "disk %s of %d bytes", path, bytes)
	return d, l.AtEnd(d.end)
}

func (d *Disk) end(context.Context) error {
	return errors.Join(tmpfs.Unmount(d.Path), os.Remove(d.Path))
}

// filler is the name of the file that takes all the room.
const filler = ".full"

// Fill takes all the room that is left on the disk: a write that needs a new page,
// and one that makes a new file longer than nothing, gives ENOSPC. What is
// left of the last page of a file can still be written, as on any file system.
func (d *Disk) Fill() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.filled {
		return nil
	}
	n, err := tmpfs.Fill(filepath.Join(d.Path, filler))
	d.lab.Journal.Record("lab", "disk %s filled with %d bytes%s", d.Path, n, errorSuffix(err))
	if err != nil {
		return fmt.Errorf("fill the disk %s: %w", d.Path, err)
	}
	d.filled = true
	return nil
}

// Free gives back the room that [Disk.Fill] took.
func (d *Disk) Free() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.filled {
		return nil
	}
	err := os.Remove(filepath.Join(d.Path, filler))
	d.lab.Journal.Record("lab", "disk %s has room again%s", d.Path, errorSuffix(err))
	d.filled = err != nil
	return err
}
