// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"

	"forkrig/rig/internal/pidfd"
	"forkrig/rig/internal/rlimit"
	"forkrig/rig/observe"
)

// Resource is something of which a process may have only so much
// (getrlimit(2)).
type Resource uint8

// The resources that can be taken from a running process.
const (
	// OpenFiles is one more than the highest descriptor that the process may
	// open: beyond it, open, socket and accept give EMFILE.
	OpenFiles Resource = iota
	// UserProcesses is how many processes and threads the user of the process may
	// have for it to start another one: beyond it, fork gives EAGAIN. It means nothing
	// to a process of the machine's root, nor to one with CAP_SYS_ADMIN or
	// CAP_SYS_RESOURCE there.
	UserProcesses
	// FileSize is how many bytes long a file may become: a write that would make
	// one longer is cut there, and one that begins there gives EFBIG and raises
	// SIGXFSZ, which ends a process that neither catches nor ignores it. A
	// write within what the file has already, and one to a pipe or a socket, goes on.
	FileSize
	// Memory is how many bytes of address space the process may have: beyond it,
	// mmap, brk and mremap give ENOMEM, and so does malloc. What it has stays. To
	// many runtimes, Go's among them, that is the end; fork itself is not limited,
	// but a program that is executed needs its memory anew.
	Memory
)

var resources = [...]struct {
	name   string
	number int // getrlimit(2)
}{
	OpenFiles:     {"open files", rlimit.OpenFiles},
	UserProcesses: {"processes of the user", rlimit.UserProcesses},
	FileSize:      {"bytes of a file", rlimit.FileSize},
	Memory:        {"bytes of memory", rlimit.Memory},
}

func (r Resource) String() string {
	if int(r) < len(resources) {
		return resources[r].name
	}
	return fmt.Sprintf("resource %d", uint8(r))
}

// SetLimit sets the soft limit of a process of the host on a resource
// (prlimit(2)) and returns a function that restores the old one. The hard limit
// stays as it is, and a soft limit above it is set to it. Processes that it starts
// from then on inherit the limit. The error wraps os.ErrNotExist where it has ended.
//
// No privilege is needed for a process that has the user and group of the tests:
// its real, effective and saved IDs must all be the real ones of the tests. Any
// other process requires CAP_SYS_RESOURCE in its user namespace, which root lacks
// in many containers, or CAP_SETUID and CAP_SETGID, with which a thread of the rig
// takes the effective IDs of that process; this is not enough for a process whose
// IDs differ among themselves, such as one of a set-user-ID program. The error wraps
// os.ErrPermission otherwise. (Raising a hard limit, which the rig never does,
// requires CAP_SYS_RESOURCE in the initial user namespace.)
func (h *Host) SetLimit(of ProcessInfo, resource Resource, soft uint64) (restore func() error, err error) {
	if int(resource) >= len(resources) {
		return nil, fmt.Errorf("limit %s of %s pid %d: choose one of the resources of this package", resource, of.Name, of.PID)
	}
	set := func(soft uint64) (old uint64, err error) {
		err = stillThere(of, func() error { old, err = rlimit.SetSoft(of.PID, resources[resource].number, soft); return err })
		h.lab.Journal.Record(h.Name, "limit %s of %s pid %d to %d%s", resource, of.Name, of.PID, soft, errorSuffix(err))
		return old, err
	}
	old, err := set(soft)
	if err != nil {
		return nil, fmt.Errorf("limit %s of %s pid %d: %w", resource, of.Name, of.PID, err)
	}
	return func() error {
		_, err := set(old)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("lift the limit on %s of %s pid %d: %w", resource, of.Name, of.PID, err)
		}
		return nil
	}, nil
}

// SetEachLimit is [Host.SetLimit] for every targeted process as it is now, with a limit for
// each, which soft is asked for. Where one of them cannot be limited, none is. A process that
// ends meanwhile, which soft says by an error that wraps os.ErrNotExist, is left out. The error
// wraps os.ErrProcessDone where there is none.
func (l *Lab) SetEachLimit(resource Resource, soft func(*Host, ProcessInfo) (uint64, error), targets ...Target) (restore func() error, err error) {
	var restores []func() error
	restore = func() error {
		var errs []error
		for _, one := range restores {
			errs = append(errs, one())
		}
		return errors.Join(errs...)
	}
	if err := l.checkTargets("limit processes", targets); err != nil {
		return nil, err
	}
	for _, target := range targets {
		host, processes, err := target.processes()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("limit %s of %v: %w", resource, target, err), restore())
		}
		for _, info := range processes {
			var one func() error
			most, err := soft(host, info)
			if err == nil {
				one, err = host.SetLimit(info, resource, most)
			}
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, errors.Join(err, restore())
			}
			restores = append(restores, one)
		}
	}
	if len(restores) == 0 {
		return nil, fmt.Errorf("limit %s: no targeted process is alive: %w", resource, os.ErrProcessDone)
	}
	return restore, nil
}

// processes returns the targeted processes that are alive now, and their host.
func (t Target) processes() (*Host, ProcessInfos, error) {
	handles, err := t.open()
	if err != nil {
		return nil, nil, err
	}
	defer pidfd.CloseAll(handles)
	var found ProcessInfos
	for _, handle := range handles {
		// The handle holds the process itself: while that is not dead, what stands
		// under its number is about it.
		info, err := observe.ReadProcess(handle.PID)
		if dead, _ := handle.Dead(); err == nil && !dead {
			found = append(found, info)
		}
	}
	return t.Host(), found, nil
}
