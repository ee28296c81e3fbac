package rig

import (
	"errors"
	"fmt"
	"os"
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
)

func (r Resource) String() string {
	if r == OpenFiles {
		return "open files"
	}
	return "processes of the user"
}

// SetLimit sets the soft limit of a process of the host on a resource
// (prlimit(2)) and returns a function that restores the old one. The hard limit
// stays as it is, so no privilege is needed. Processes that it starts from then
// on inherit the limit. The error wraps os.ErrNotExist where it has ended.
func (h *Host) SetLimit(of ProcessInfo, resource Resource, soft uint64) (restore func() error, err error) {
	set := func(soft uint64) (old uint64, err error) {
		err = stillThere(of, func() error { old, err = setSoftLimit(of.PID, resource, soft); return err })
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
